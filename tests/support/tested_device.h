#pragma once

#include <gtest/gtest.h>

#include <memory>

// What networks and runs on a device are tested on: a double of a GPU, or, with LOCKSTEP_ON_GPU, a GPU.
#ifdef LOCKSTEP_ON_GPU
#include "layers/ops/gpu.h"
namespace lockstep::test {
inline constexpr bool is_double = false;
inline std::shared_ptr<const Device> tested_device(bool /*open*/ = false) {
  constexpr int most_threads = 2;
  return open_gpu({.index = 0, .threads = most_threads});
}
inline bool has_tested_device() {
  return gpus_here() > 0;
}
}  // namespace lockstep::test
#else
#include "tests/support/gpu_double.h"
namespace lockstep::test {
inline constexpr bool is_double = true;
// open: several workers of this process use it.
inline std::shared_ptr<const Device> tested_device(bool open = false) {
  return gpu_double(open);
}
inline bool has_tested_device() {
  return true;
}
}  // namespace lockstep::test
#endif

namespace lockstep::test {

struct DeviceTest : testing::Test {
  void SetUp() override {
    if (!has_tested_device()) GTEST_SKIP() << "skipped: no GPU";
  }
};

}  // namespace lockstep::test
