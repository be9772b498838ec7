#pragma once

#include <cstdint>
#include <functional>

#include "trainer/data/meanwhile.h"

namespace lockstep {

// Calls work(thread, index) once for each index in [0, count), on `threads` threads, in any order. Each call
// is a sign of life. The calling thread, which is thread 0, does `meanwhile` between its own. Where calls
// throw, the exception of the lowest index is thrown, once all have ended.
void for_each_index(
    std::int64_t count, int threads, const std::function<void(std::size_t thread, std::int64_t index)>& work,
    const Meanwhile& meanwhile = [] {});

}  // namespace lockstep
