#include "trainer/export/onnx.h"

#include <gmock/gmock.h>

#include <limits>

#include "comm/base/error.h"
#include "trainer/export/onnx_graph.h"

// That other programs understand the files is tested in tests/interop.
namespace lockstep {
namespace {

using testing::HasSubstr;
using testing::Not;

InferenceNetwork one_layer() {
  return {.layers = {{"flatten", FlattenSpec{}}, {"drop", DropoutSpec{}}, {"fc", LinearSpec{.out = 2}}},
          .input = {.height = 1, .width = 2, .channels = 1},
          .classes = 2,
          .eps = 1e-5,
          .tensors = {{"fc.weight", {{2, 2}, {1, 2, 3, 4}}}, {"fc.bias", {{2}, {5, 6}}}}};
}

std::string file_of(const InferenceNetwork& network) {
  const std::vector<double> one{0.5};
  return onnx_file(network, one, one, {{"class_names", R"(["cat","dog"])"}});
}

TEST(Onnx, NamesWhatUsersLookFor) {
  const std::string file = file_of(one_layer());
  for (const char* word : {"images", "logits", "batch", "Gemm", "fc.weight", "class_names", "cat"}) {
    EXPECT_THAT(file, HasSubstr(word));
  }
  EXPECT_THAT(file, Not(HasSubstr("drop")));
}

TEST(Onnx, EqualNetworksGiveEqualBytes) {
  EXPECT_EQ(file_of(one_layer()), file_of(one_layer()));
  InferenceNetwork other = one_layer();
  other.tensors["fc.bias"].values[1] = 7;
  EXPECT_NE(file_of(other), file_of(one_layer()));
}

TEST(Onnx, RefusesWhatItsFormatCannotHold) {
  constexpr std::uint64_t most = std::numeric_limits<std::int32_t>::max();
  EXPECT_NO_THROW(check_onnx_size(most));
  EXPECT_THROW(check_onnx_size(most + 1), UsageError);
}

}  // namespace
}  // namespace lockstep
