// Runs engines for the conformance suite: those of the registry, and broken ones.
import KVBackends
import KVBrokenEngine
import KVConformance

ConformanceWorker.runIfAsked(CommandLine.arguments, BackendRegistry.standard + BrokenEngine.factories)
print("This program is started by tests.")
