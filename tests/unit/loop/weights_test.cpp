#include "trainer/loop/weights.h"

#include <gmock/gmock.h>

#include <cstring>

#include "comm/base/error.h"
#include "tests/unit/checkpoint/temporary_folder.h"
#include "trainer/loop/checkpoint.h"

namespace lockstep {
namespace {

using testing::AllOf;
using testing::Each;
using testing::HasSubstr;
using Kind = RunningStatistics::Kind;

ModelOptions tiny(std::vector<RunningStatistics> entries, std::int64_t classes = 3) {
  ModelOptions options;
  options.spec = {.name = "mlp", .layers = {}, .hidden = {2}};
  options.input = {2, 2, 1};
  options.classes = classes;
  options.running_statistics = std::move(entries);
  return options;
}

std::span<float> floats(Model& model, const std::string& name) {
  for (const ModelTensor& tensor : model.state()) {
    if (tensor.name == name) {
      return {reinterpret_cast<float*>(tensor.bytes.data()), tensor.bytes.size() / sizeof(float)};
    }
  }
  ADD_FAILURE() << "the model has no " << name;
  return {};
}

std::int64_t& count(Model& model, const std::string& name) {
  return *reinterpret_cast<std::int64_t*>(floats(model, name).data());
}

// A file of a model whose weights are 5, whose means are 6 and which has seen 7 batches.
class LoadWeights : public testing::Test {
 protected:
  void SetUp() override {
    std::ranges::fill(theirs_.arena(), 5.0F);
    std::ranges::fill(floats(theirs_, "bn1.running_mean"), 6.0F);
    count(theirs_, "bn1.num_batches_tracked") = 7;
  }
  SafetensorsFile file(const std::vector<ModelTensor>& tensors) const {
    save_tensors(folder_ / "a", tensors, {});
    return SafetensorsFile::read(folder_ / "a");
  }
  std::string refusal(const SafetensorsFile& file, Model& model) const {
    try {
      load_weights(file, "a", model);
    } catch (const DataError& error) {
      return error.what();
    }
    return "nothing";
  }

  Model theirs_{tiny({{}}), 1, 0};
  TemporaryFolder folder_;
};

TEST_F(LoadWeights, BringsWeightsAndRunningStatistics) {
  Model model(tiny({{}}), 1, 0);
  load_weights(file(theirs_.state()), "a", model);
  EXPECT_THAT(floats(model, "fc2.weight"), Each(5));
  EXPECT_THAT(floats(model, "bn1.running_mean"), Each(6));
  EXPECT_EQ(count(model, "bn1.num_batches_tracked"), 7);
}

TEST_F(LoadWeights, EveryEntryBeginsWithThePrimaryStatisticsAndACumulativeOneCountsAnew) {
  Model model(tiny({{.name = "cumulative", .kind = Kind::cumulative}, {.name = "ema:0.5"}}), 1, 0);
  load_weights(file(theirs_.state()), "a", model);
  EXPECT_THAT(floats(model, "bn1.running_mean"), Each(6));
  EXPECT_EQ(count(model, "bn1.num_batches_tracked"), 0);
  EXPECT_THAT(floats(model, "stats.ema:0.5.bn1.running_mean"), Each(6));
  EXPECT_EQ(count(model, "stats.ema:0.5.bn1.num_batches_tracked"), 7);
}

TEST_F(LoadWeights, AnEntrysOwnStatisticsComeFirst) {
  std::vector<ModelTensor> tensors = theirs_.state();
  std::array<float, 2> own{8, 8};
  tensors.push_back(
      {"stats.ema:0.5.bn1.running_mean", DType::f32, {2}, std::as_writable_bytes(std::span(own))});
  Model model(tiny({{}, {.name = "ema:0.5"}}), 1, 0);
  load_weights(file(tensors), "a", model);
  EXPECT_THAT(floats(model, "stats.ema:0.5.bn1.running_mean"), Each(8));
  EXPECT_THAT(floats(model, "stats.ema:0.5.bn1.running_var"), Each(1));
}

TEST_F(LoadWeights, PassesOverWhatIsNoneOfIts) {
  std::vector<ModelTensor> tensors = theirs_.state();
  std::array<float, 1> more{1};
  for (const char* name :
       {"optimizer.momentum.fc1.weight", "train.step", "stats.cumulative.bn1.running_mean"})
    tensors.push_back({name, DType::f32, {1}, std::as_writable_bytes(std::span(more))});
  Model model(tiny({{}}), 1, 0);
  EXPECT_EQ(refusal(file(tensors), model), "nothing");
}

TEST_F(LoadWeights, DoesWithoutTheCountsOfAnOldFile) {
  std::vector<ModelTensor> tensors = theirs_.state();
  std::erase_if(tensors, [](const ModelTensor& tensor) { return tensor.dtype == DType::i64; });
  Model model(tiny({{}}), 1, 0);
  EXPECT_EQ(refusal(file(tensors), model), "nothing");
  EXPECT_THAT(floats(model, "bn1.running_mean"), Each(6));
}

TEST_F(LoadWeights, ListsAllThatDoesNotFitAndChangesNothing) {
  std::vector<ModelTensor> tensors = theirs_.state();
  std::erase_if(tensors, [](const ModelTensor& tensor) { return tensor.name.ends_with("running_var"); });
  std::array<float, 100> more{};
  for (std::size_t i = 0; i < more.size(); ++i) {
    tensors.push_back({"extra" + std::to_string(i),
                       DType::f32,
                       {1},
                       std::as_writable_bytes(std::span(more).subspan(i, 1))});
  }
  Model model(tiny({{}, {.name = "ema:0.5"}}, 4), 1, 0);
  const std::string told = refusal(file(tensors), model);
  EXPECT_THAT(told, AllOf(HasSubstr("missing: bn1.running_var\n"),
                          HasSubstr("fc2.weight is [3, 2] in the file, [4, 2] in the model"),
                          HasSubstr("fc2.bias is [3] in the file, [4] in the model")));
  for (std::size_t i = 0; i < more.size(); ++i) EXPECT_THAT(told, HasSubstr("extra" + std::to_string(i)));
  EXPECT_THAT(model.arena(), Each(0));
  EXPECT_THAT(floats(model, "bn1.running_mean"), Each(0));
}

}  // namespace
}  // namespace lockstep
