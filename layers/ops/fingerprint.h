#pragma once

#include <string>

namespace lockstep {

// What the bits of a result depend on besides the program: processor features, the sizes of caches (blocking
// follows them) and versions of the libraries that compute (exp, log and cos are the C library's). Two
// workers with equal fingerprints compute equal bits.
std::string compute_fingerprint();

}  // namespace lockstep
