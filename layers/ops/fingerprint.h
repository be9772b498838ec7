#pragma once

#include <string>

namespace lockstep {

// What the bits of a result depend on besides the program: processor features, the sizes of caches (blocking
// follows them) and versions of the libraries that compute. Two workers with equal fingerprints compute
// equal bits.
std::string compute_fingerprint();

}  // namespace lockstep
