// Runs that begin at the weights of a file.
#include <gmock/gmock.h>

#include <fstream>
#include <iterator>

#include "comm/base/error.h"
#include "tests/unit/checkpoint/temporary_folder.h"
#include "tests/unit/loop/train_on_threads.h"
#include "trainer/config/config.h"
#include "trainer/loop/digests.h"
#include "trainer/loop/inference.h"
#include "trainer/loop/train.h"
#include "trainer/loop/weights.h"
#include "trainer/loop/workers.h"

namespace lockstep {
namespace {

using test::run;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using Open = RunDirectory::Open;

constexpr const char* small_run =
    "model: {name: mlp, hidden: [6]}\n"
    "batch: {global: 10, shards: 4}\n"
    "data: {dataset: synthetic, synthetic: {samples: 33, test_samples: 13, height: 4, width: 4, classes: "
    "3}}\n"
    "normalization: {running_stats: [ema, cumulative]}\n"
    "optimizer: {lr: 0.05}\n"
    "schedule: {steps: 4}\n";

class InitFrom : public testing::Test {
 protected:
  // Where the weights come from: a run of another seed.
  void SetUp() override {
    run(configured("first", {"seed=7"}), 1);
    std::filesystem::copy_file(folder_ / "first/final.safetensors", weights_);
  }

  Config configured(const std::string& name, std::vector<std::string> settings) const {
    settings.push_back("run_dir=" + (folder_ / name).string());
    return parse_config(small_run, "small.yaml", settings);
  }
  Config from_weights(const std::string& name, std::vector<std::string> settings = {}) const {
    settings.push_back("train.init_from=" + weights_.string());
    return configured(name, std::move(settings));
  }
  static std::string refusal(const Config& config, int workers, Open open) {
    try {
      run(config, workers, open);
    } catch (const DataError& error) {
      return error.what();
    }
    return "nothing";
  }
  std::string bytes(const std::string& file) const {
    std::ifstream stream(folder_ / file, std::ios::binary);
    EXPECT_TRUE(stream) << file;
    return {std::istreambuf_iterator<char>(stream), {}};
  }

  TemporaryFolder folder_;
  std::filesystem::path weights_ = folder_ / "weights.safetensors";
};

TEST_F(InitFrom, BeginsAtTheFilesWeightsAndStatistics) {
  run(from_weights("second", {"optimizer.lr=0", "normalization.momentum=0"}), 2);
  Trained first = open_trained(weights_, {});
  Trained second = open_trained(folder_ / "second/final.safetensors", {});
  EXPECT_THAT(second.model.arena(), testing::ElementsAreArray(first.model.arena()));
  const std::string weights = bytes("weights.safetensors");
  EXPECT_EQ(second.facts.init_digest, digest(std::as_bytes(std::span(weights))));
  const auto tensors = [](Trained& trained) {
    std::map<std::string, std::vector<std::byte>> values;
    for (const ModelTensor& tensor : trained.model.state()) {
      values[tensor.name].assign(tensor.bytes.begin(), tensor.bytes.end());
    }
    return values;
  };
  auto before = tensors(first);
  auto after = tensors(second);
  EXPECT_EQ(after["bn1.running_mean"], before["bn1.running_mean"]);
  EXPECT_EQ(after["bn1.running_var"], before["bn1.running_var"]);
  EXPECT_NE(after["stats.cumulative.bn1.running_mean"], before["stats.cumulative.bn1.running_mean"]);
}

TEST_F(InitFrom, GivesOneAnswerOnAnyNumberOfWorkers) {
  run(from_weights("one"), 1);
  run(from_weights("three"), 3);
  EXPECT_EQ(bytes("three/final.safetensors"), bytes("one/final.safetensors"));
  run(configured("random", {}), 1);
  EXPECT_NE(bytes("random/final.safetensors"), bytes("one/final.safetensors"));
}

TEST_F(InitFrom, WhereTheFileLiesChangesNoByte) {
  run(from_weights("here"), 1);
  const auto there = folder_ / "there.safetensors";
  std::filesystem::copy_file(weights_, there);
  run(configured("there", {"train.init_from=" + there.string()}), 1);
  EXPECT_EQ(bytes("there/final.safetensors"), bytes("here/final.safetensors"));
  EXPECT_THAT(bytes("here/final.safetensors"), Not(HasSubstr("weights.safetensors")));
}

TEST_F(InitFrom, AResumedRunNeedsTheFileNoMore) {
  run(from_weights("whole"), 2);
  EXPECT_EQ(run(from_weights("stopped", {"train.stop_at_step=2"}), 2), Outcome::stopped);
  std::filesystem::remove(weights_);
  EXPECT_EQ(run(from_weights("stopped"), 3, Open::resume), Outcome::finished);
  EXPECT_EQ(bytes("stopped/final.safetensors"), bytes("whole/final.safetensors"));
}

TEST_F(InitFrom, AResumedRunMustHaveBegunAtTheSameWeights) {
  run(from_weights("stopped", {"train.stop_at_step=2"}), 2);
  EXPECT_THAT(refusal(configured("stopped", {}), 2, Open::resume), HasSubstr("train.init_from is not set"));
  std::filesystem::copy_file(folder_ / "stopped/checkpoints/step-00000002.safetensors", weights_,
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_THAT(refusal(from_weights("stopped"), 2, Open::resume),
              AllOf(HasSubstr("the run began at weights of digest"), HasSubstr(weights_.string())));
  run(configured("random", {"train.stop_at_step=2"}), 2);
  EXPECT_THAT(refusal(from_weights("random"), 2, Open::resume), HasSubstr("the run began at random weights"));
}

TEST_F(InitFrom, AFileThatDoesNotFitIsRefusedBeforeAnythingIsTouched) {
  run(configured("kept", {}), 1);
  const std::string kept = bytes("kept/final.safetensors");
  for (const Open open : {Open::overwrite, Open::resume}) {
    const std::string run_dir = open == Open::overwrite ? "kept" : "new";
    EXPECT_THAT(refusal(from_weights(run_dir, {"data.synthetic.classes=5"}), 2, open),
                AllOf(HasSubstr(weights_.string()), HasSubstr("fc2.weight is [3, 6] in the file, [5, 6]"),
                      HasSubstr("fc2.bias is [3] in the file, [5] in the model")));
  }
  EXPECT_EQ(bytes("kept/final.safetensors"), kept);
  std::filesystem::remove(weights_);
  EXPECT_THAT(refusal(from_weights("kept"), 2, Open::overwrite), HasSubstr(weights_.string()));
  EXPECT_EQ(bytes("kept/final.safetensors"), kept);
}

}  // namespace
}  // namespace lockstep
