#pragma once

// Loops compiled twice: for AVX2, which every processor here has, and for AVX-512.
namespace lockstep {

#if defined(__GNUC__) && !defined(__clang__)

// All that `work` calls is compiled into this function, and with its instructions.
template <class Work>
[[gnu::flatten, gnu::target("avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512")]] void
run_in_avx512(const Work& work) {
  work();
}

inline bool has_avx512() {
  static const bool has = __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
                          __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vl") != 0;
  return has;
}

// Runs `work` with the widest vectors that this processor has. No bit hangs on their width: what a loop does
// with an element is spelled out, and a sum's lanes are fixed.
template <class Work>
void vectorized(const Work& work) {
  if (has_avx512()) {
    run_in_avx512(work);
  } else {
    work();
  }
}

#else

template <class Work>
void vectorized(const Work& work) {
  work();
}

#endif

}  // namespace lockstep
