package mutants_test

import "slices"

// mutants are ordered as the contract makes its promises.
var mutants = slices.Concat(eventMutants, recordMutants, requestMutants, waitingMutants, inputMutants, commandMutants)
