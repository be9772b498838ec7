#include "trainer/loop/bench_peak.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "comm/base/error.h"

namespace lockstep {
namespace {

using testing::HasSubstr;

BareStep::Entry entry(const std::string& layer, const std::string& implementation) {
  return {layer, BarePrimitive::Pass::backward_weight, {"jit:avx2", implementation}};
}

TEST(BenchPeak, RefusesReferenceCode) {
  refuse_reference(std::vector{entry("conv1", "jit:avx2"), entry("fc1", "x64:gemm:jit")});
  try {
    refuse_reference(std::vector{entry("conv1", "jit:avx2"), entry("conv2", "ref:any")});
    FAIL() << "accepted ref:any";
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(), HasSubstr("'conv2', backward_weight"));
    EXPECT_THAT(error.what(), HasSubstr("ref:any"));
  }
}

}  // namespace
}  // namespace lockstep
