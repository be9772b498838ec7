#include "layers/ops/fingerprint.h"

#include <gmock/gmock.h>
#include <gnu/libc-version.h>
#include <gtest/gtest.h>

#include <string>

namespace lockstep::test {
namespace {

TEST(Fingerprint, NamesTheLibrariesThatCompute) {
  EXPECT_THAT(compute_fingerprint(), testing::HasSubstr("oneDNN "));
  EXPECT_THAT(compute_fingerprint(), testing::HasSubstr(std::string("C library ") + gnu_get_libc_version()));
}

}  // namespace
}  // namespace lockstep::test
