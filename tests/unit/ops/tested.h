#pragma once

#include <gtest/gtest.h>

// What the cases of this folder test: the CPU's operations, or those of layers/ops/cuda where LOCKSTEP_TESTED
// names the header of what they run on (tests/support/threads_on_cpu.h, tests/gpu/on_gpu.h).
#ifdef LOCKSTEP_TESTED
#include LOCKSTEP_TESTED
#include "tests/support/cuda_ops.h"
namespace lockstep::test {
namespace tested = cuda_ops;
inline const char* unavailable() {
  return target::unavailable();
}
}  // namespace lockstep::test
#else
namespace lockstep::test {
namespace tested = ::lockstep;
inline const char* unavailable() {
  return nullptr;
}
}  // namespace lockstep::test
#endif

namespace lockstep::test {

// Skips where what is tested cannot run.
struct TestedTest : testing::Test {
  void SetUp() override {
    if (unavailable() != nullptr) GTEST_SKIP() << unavailable();
  }
};

}  // namespace lockstep::test
