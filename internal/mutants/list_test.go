package mutants_test

import "slices"

// mutants are ordered as the contract makes its promises.
var mutants = slices.Concat(
	eventMutants, recordMutants, verdictMutants, requestMutants, storeMutants, waitingMutants, natsMutants,
	inputMutants, dialectMutants, checkpointMutants, commandMutants, gatewayMutants, historyMutants, setupMutants, traceMutants,
)
