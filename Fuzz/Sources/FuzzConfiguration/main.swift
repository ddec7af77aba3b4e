import CFuzzer
import Glibc

var argumentCount = CommandLine.argc
// Safe: libFuzzer reads the arguments as main would; both outlive the run.
var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = unsafe CommandLine.unsafeArgv
exit(unsafe LLVMFuzzerRunDriver(&argumentCount, &arguments) { unsafe fuzzConfiguration($0, $1) })
