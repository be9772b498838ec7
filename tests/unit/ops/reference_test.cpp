// What oneDNN has nothing but its reference code for is told by training, and refused by benchmarks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <sstream>
#include <string>

#include "comm/base/error.h"
#include "layers/ops/cpu/call.h"

namespace lockstep {
namespace {

using testing::HasSubstr;

constexpr auto what = "convolution 3x3 of 8x8x3 to 8x8x5, forward,";

// What is logged while it is told.
std::string log_of(const std::string& implementation) {
  std::ostringstream text;
  const auto before = spdlog::default_logger();
  spdlog::set_default_logger(
      std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(text)));
  onednn::report_reference(implementation, what, true);
  spdlog::set_default_logger(before);
  return text.str();
}

TEST(Reference, IsWarnedOfWhereItWillDo) {
  EXPECT_EQ(log_of("jit:avx2"), "");
  EXPECT_EQ(log_of("x64:gemm:jit"), "");
  EXPECT_THAT(log_of("ref:any"), HasSubstr(what));
  EXPECT_THAT(log_of("ref:any"), HasSubstr("ref:any"));
}

TEST(Reference, IsRefusedWhereItWillNot) {
  onednn::report_reference("jit:avx2", what, false);
  try {
    onednn::report_reference("ref:any", what, false);
    FAIL() << "accepted ref:any";
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(), HasSubstr(what));
    EXPECT_THAT(error.what(), HasSubstr("ref:any"));
  }
}

}  // namespace
}  // namespace lockstep
