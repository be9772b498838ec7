#include "trainer/loop/saver.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "comm/base/error.h"
#include "comm/single/single.h"
#include "trainer/loop/inference.h"

namespace lockstep {
namespace {

// A run of one worker whose model is not trained: a step is a number, and the value of all weights.
class SaverTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "saver-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    config_.run_dir = folder_ / "run";
    config_.model = {.name = "mlp", .layers = {}, .hidden = {6}};
    config_.batch = {.global = 10, .shards = 4};
    config_.data.dataset = DataConfig::Dataset::synthetic;
    config_.data.synthetic = {
        .samples = 33, .test_samples = 13, .height = 4, .width = 4, .channels = 1, .classes = 3};
    session_.emplace(*comm_, config_, open_inputs(*comm_, config_));
    directory_.emplace(config_.run_dir, RunDirectory::Open::fresh, std::chrono::milliseconds{});
    recorder_.emplace(*directory_, config_, session_->steps(), 0);
    saver_.emplace(*comm_, *session_, &*directory_, &*recorder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void train_to(std::int64_t step) {
    session_->counters().step = step;
    std::ranges::fill(session_->model().arena(), static_cast<float>(step));
  }
  // A folder in the place of a file: its save must fail, whoever the user is.
  static void forbid(const std::filesystem::path& file) { std::filesystem::create_directories(file / "x"); }
  static void allow(const std::filesystem::path& file) { std::filesystem::remove_all(file); }
  // The step whose weights best.safetensors has, and tells of.
  std::int64_t best_step() const {
    Trained best = open_trained(directory_->best_file(), {});
    EXPECT_EQ(best.model.arena()[0], static_cast<float>(best.facts.step));
    return best.facts.step;
  }

  std::filesystem::path folder_;
  Config config_;
  std::unique_ptr<Communicator> comm_ = make_single();
  std::optional<Session> session_;
  std::optional<RunDirectory> directory_;
  std::optional<Recorder> recorder_;
  std::optional<Saver> saver_;
};

constexpr Score good{.loss = 0.25, .accuracy = 0.75, .correct = 3, .samples = 4};
constexpr Score bad{.loss = 1, .accuracy = 0.25, .correct = 1, .samples = 4};

TEST_F(SaverTest, ABestModelThatCouldNotBeSavedIsSavedAtTheNextEvaluation) {
  forbid(directory_->best_file());
  train_to(1);
  saver_->best_model(good);
  EXPECT_TRUE(saver_->best_is_left());
  allow(directory_->best_file());
  train_to(2);
  saver_->best_model(bad);
  EXPECT_FALSE(saver_->best_is_left());
  EXPECT_EQ(best_step(), 1);
}

TEST_F(SaverTest, ABetterModelTakesThePlaceOfOneThatCouldNotBeSaved) {
  forbid(directory_->best_file());
  train_to(1);
  saver_->best_model(bad);
  allow(directory_->best_file());
  train_to(2);
  saver_->best_model(good);
  EXPECT_EQ(best_step(), 2);
}

TEST_F(SaverTest, NoCheckpointComesBeforeABestModelThatIsLeft) {
  forbid(directory_->best_file());
  train_to(1);
  saver_->best_model(good);
  train_to(2);
  EXPECT_FALSE(saver_->checkpoint());
  EXPECT_FALSE(directory_->latest().has_value());
  allow(directory_->best_file());
  train_to(3);
  EXPECT_TRUE(saver_->checkpoint());
  EXPECT_FALSE(saver_->best_is_left());
  EXPECT_EQ(best_step(), 1);
}

TEST_F(SaverTest, TheThirdEvaluationInARowWhoseModelCannotBeSavedEndsTheRun) {
  forbid(directory_->best_file());
  for (const std::int64_t step : {1, 2}) {
    train_to(step);
    saver_->best_model(good);
  }
  train_to(3);
  EXPECT_THROW(saver_->best_model(good), DataError);
}

TEST_F(SaverTest, CheckpointsThatFailAreCountedByThemselves) {
  for (const std::int64_t step : {1, 2, 3}) {
    train_to(step);
    forbid(directory_->checkpoint(step));
    saver_->best_model(good);
    if (step < 3) {
      EXPECT_FALSE(saver_->checkpoint());
    } else {
      EXPECT_THROW(saver_->checkpoint(), DataError);
    }
  }
}

}  // namespace
}  // namespace lockstep
