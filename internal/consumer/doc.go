// Package consumer takes events from JetStream, has what they name warmed, and
// settles them.
//
// The outcome protocol, for each delivery and in this order:
//
//  1. decode; this gives the receipt's key
//  2. read the receipt; if it is final, do no work, complete what it says
//  3. find what a registry names, plan, look up the ledger, fill, have the
//     ledger's writes confirmed
//  4. finalise the receipt by compare-and-set: the first wins, a loser follows
//  5. write what derives from it, once: the dead letter, the result
//  6. join the heartbeat
//  7. settle: ack, term or nak, confirmed by the server
//
// Every step may be the last one before a crash: a redelivery starts at 1 and
// finds at 2 how far the earlier one came. Two deliveries of one message may
// run at the same time (a stale one is not told); 4 makes their outcome one.
package consumer
