#pragma once

namespace lockstep {

// To be called first by every thread that computes: OpenMP's thread count is set to one for this thread (a
// fresh thread does not inherit it), because the number of threads with which a primitive is made fixes its
// bits (rule 2).
void prepare_compute_thread();

// Throws std::logic_error unless this thread was prepared and stands outside any parallel region.
void check_compute_thread();

}  // namespace lockstep
