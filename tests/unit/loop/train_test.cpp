#include "trainer/loop/train.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "comm/base/error.h"
#include "comm/single/single.h"
#include "tests/unit/loop/train_on_threads.h"
#include "trainer/loop/agree.h"
#include "trainer/loop/digests.h"
#include "trainer/loop/evaluate.h"
#include "trainer/loop/inference.h"
#include "trainer/loop/session.h"
#include "trainer/loop/start.h"
#include "trainer/loop/stop.h"
#include "trainer/loop/workers.h"

namespace lockstep {
namespace {

using test::run;
using testing::AllOf;
using testing::HasSubstr;
using Open = RunDirectory::Open;

// A run small enough for a test: 4 steps an epoch, the last of which leaves shards empty.
class Train : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "train-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    config_.model = {.name = "mlp", .layers = {}, .hidden = {6}, .dropout = 0.25};
    config_.batch = {.global = 10, .shards = 4};
    config_.data.dataset = DataConfig::Dataset::synthetic;
    config_.data.synthetic = {
        .samples = 33, .test_samples = 13, .height = 4, .width = 4, .channels = 1, .classes = 3};
    config_.data.augment.flip = true;
    config_.normalization.running_stats = {
        {}, {.name = "cumulative", .kind = RunningStatistics::Kind::cumulative, .momentum = 0}};
    config_.schedule.epochs = 2;
    config_.evaluation.batch = 5;
    config_.train.digest_every = 1;
    config_.train.log_every = 1;
    config_.comm.timeout_s = 20;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  Config in(const std::string& run) const {
    Config config = config_;
    config.run_dir = (folder_ / run).string();
    return config;
  }
  std::string bytes(const std::string& file) const {
    std::ifstream stream(folder_ / file, std::ios::binary);
    EXPECT_TRUE(stream) << file;
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  // A folder in the place of the checkpoint: its save must fail, whoever the user is.
  void forbid_checkpoint(const std::string& run, int step) const {
    std::filesystem::create_directories(folder_ / run /
                                        fmt::format("checkpoints/step-{:08}.safetensors/x", step));
  }
  // metrics.jsonl without what depends on the clock.
  std::vector<nlohmann::json> metrics(const std::string& run) const {
    std::ifstream stream(folder_ / run / "metrics.jsonl");
    std::vector<nlohmann::json> lines;
    for (std::string line; std::getline(stream, line);) {
      lines.push_back(nlohmann::json::parse(line));
      for (const char* key : {"images_per_s", "val_seconds", "precise_seconds"}) lines.back().erase(key);
    }
    return lines;
  }

  std::filesystem::path folder_;
  Config config_;
};

constexpr const char* last_checkpoint = "/checkpoints/step-00000008.safetensors";

TEST_F(Train, AnyNumberOfWorkersWritesTheSameBytes) {
  run(in("one"), 1);
  for (const int workers : {2, 3, 4}) {
    const std::string name = "workers" + std::to_string(workers);
    run(in(name), workers);
    EXPECT_EQ(bytes(name + "/final.safetensors"), bytes("one/final.safetensors")) << name;
    EXPECT_EQ(bytes(name + last_checkpoint), bytes("one" + std::string(last_checkpoint))) << name;
    EXPECT_EQ(bytes(name + "/digests.jsonl"), bytes("one/digests.jsonl")) << name;
    EXPECT_EQ(metrics(name), metrics("one")) << name;
  }
}

TEST_F(Train, ClippedGradientsAreTheSameOnAnyNumberOfWorkers) {
  run(in("not clipped"), 1);
  config_.optimizer.clip_norm = 0.5;
  run(in("one"), 1);
  EXPECT_NE(bytes("one/digests.jsonl"), bytes("not clipped/digests.jsonl"));
  for (const int workers : {2, 3}) {
    const std::string name = "workers" + std::to_string(workers);
    run(in(name), workers);
    EXPECT_EQ(bytes(name + "/final.safetensors"), bytes("one/final.safetensors")) << name;
    EXPECT_EQ(bytes(name + "/digests.jsonl"), bytes("one/digests.jsonl")) << name;
    EXPECT_EQ(metrics(name), metrics("one")) << name;
  }
}

TEST_F(Train, RulesAreTheSameOnAnyNumberOfWorkersAndBelongToTheResult) {
  run(in("plain"), 1);
  config_.optimizer.rules = {{.match = "*.bias", .lr_scale = 3, .weight_decay = 0.1},
                             {.match = "bn*", .lr_scale = {}, .weight_decay = 0.2}};
  run(in("one"), 1);
  EXPECT_NE(bytes("one/final.safetensors"), bytes("plain/final.safetensors"));
  Config stopped = in("stopped");
  stopped.train.stop_at_step = 3;
  run(stopped, 3);
  Config changed = in("stopped");
  changed.optimizer.rules[1].weight_decay = 0.3;
  EXPECT_THROW(run(changed, 2, Open::resume), DataError);
  EXPECT_EQ(run(in("stopped"), 2, Open::resume), Outcome::finished);
  EXPECT_EQ(bytes("stopped/final.safetensors"), bytes("one/final.safetensors"));
}

// An evaluation a step; what is best is met in the middle of the run, which is long and hasty.
class TrainForTheBest : public Train {
 protected:
  void SetUp() override {
    Train::SetUp();
    config_.data.validation = 0.3;
    config_.optimizer.lr = 0.5;
    config_.schedule.epochs = 4;
    config_.evaluation = {.every_epochs = std::nullopt, .every_steps = 1, .batch = 5};
    config_.checkpoint = {.every_epochs = std::nullopt, .every_steps = 2, .keep = 100, .best = true};
  }
  // The step with the lowest val_loss in metrics.jsonl.
  std::int64_t best_step(const std::string& run) const {
    std::pair<double, std::int64_t> best{1e300, 0};
    for (const auto& line : metrics(run)) {
      if (line.contains("val_loss")) best = std::min(best, {line.at("val_loss"), line.at("step")});
    }
    return best.second;
  }
  void expect_same(const std::filesystem::path& run, const std::filesystem::path& other) const {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_ / other)) {
      const auto file = std::filesystem::relative(entry.path(), folder_ / other);
      if (file.extension() == ".safetensors" || file == "digests.jsonl") {
        EXPECT_EQ(bytes(run / file), bytes(other / file)) << run << "/" << file;
      }
    }
    EXPECT_EQ(metrics(run), metrics(other)) << run;
  }
};

TEST_F(TrainForTheBest, TheModelOfTheBestEvaluationIsKept) {
  config_.checkpoint.every_steps = 1;
  run(in("run"), 2);
  const std::int64_t step = best_step("run");
  ASSERT_LT(step, 12);
  Trained best = open_trained(folder_ / "run/best.safetensors", {});
  EXPECT_EQ(best.facts.step, step);
  Trained then = open_trained(folder_ / fmt::format("run/checkpoints/step-{:08}.safetensors", step), {});
  EXPECT_TRUE(std::ranges::equal(best.model.arena(), then.model.arena()));
  Trained last = open_trained(folder_ / "run/final.safetensors", {});
  EXPECT_FALSE(std::ranges::equal(best.model.arena(), last.model.arena()));
}

TEST_F(TrainForTheBest, AnyNumberOfWorkersKeepsTheSame) {
  run(in("one"), 1);
  for (const int workers : {2, 3}) {
    const std::string name = "workers" + std::to_string(workers);
    run(in(name), workers);
    expect_same(name, "one");
  }
}

TEST_F(TrainForTheBest, AResumedRunKeepsTheSame) {
  run(in("whole"), 2);
  for (const std::int64_t step : {1, 4, 7, 11}) {
    const std::string name = "stopped" + std::to_string(step);
    Config config = in(name);
    config.train.stop_at_step = step;
    run(config, 3);
    // A run that was killed later than it saved may have kept a better one already.
    if (step == 4)
      std::filesystem::copy(folder_ / "whole/best.safetensors", folder_ / name / "best.safetensors",
                            std::filesystem::copy_options::overwrite_existing);
    if (step == 7) std::ofstream(folder_ / name / "best.safetensors") << "broken";
    run(in(name), 1, Open::resume);
    if (step != 7 || best_step("whole") > 7) expect_same(name, "whole");
  }
}

// A run that is killed between an evaluation and its first checkpoint leaves no more than that.
TEST_F(TrainForTheBest, ARunThatStartsAfreshKeepsNothingOfAnother) {
  const auto of = [&](std::uint64_t seed, const std::string& run) {
    Config config = in(run);
    config.seed = seed;
    return config;
  };
  run(of(1, "run1"), 2);
  run(of(2, "run2"), 2);
  for (const std::uint64_t seed : {1U, 2U}) {
    const std::string killed = fmt::format("killed{}", 3 - seed);
    std::filesystem::create_directories(folder_ / killed);
    for (const char* const file : {"best.safetensors", "final_ema.safetensors"}) {
      std::filesystem::copy_file(folder_ / fmt::format("run{}/best.safetensors", 3 - seed),
                                 folder_ / killed / file);
    }
    EXPECT_EQ(run(of(seed, killed), 2, Open::resume), Outcome::finished);
    expect_same(killed, fmt::format("run{}", seed));
    EXPECT_FALSE(std::filesystem::exists(folder_ / killed / "final_ema.safetensors"));
  }
}

TEST_F(TrainForTheBest, KeepingItChangesNoByteOfTheRest) {
  run(in("run"), 2);
  config_.checkpoint.best = false;
  run(in("other"), 2);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "other/best.safetensors"));
  expect_same("run", "other");
}

// No evaluation is better by 100 than the first.
class TrainToAnEarlyEnd : public TrainForTheBest {
 protected:
  void SetUp() override {
    TrainForTheBest::SetUp();
    config_.train.early_stopping = {.patience = 4, .min_delta = 100};
  }
};

TEST_F(TrainToAnEarlyEnd, TheRunEndsFinishedWhenItsPatienceDoes) {
  EXPECT_EQ(run(in("run"), 2), Outcome::finished);
  EXPECT_EQ(metrics("run").back().at("step"), 5);
  EXPECT_EQ(open_trained(folder_ / "run/final.safetensors", {}).facts.step, 5);
  EXPECT_TRUE(std::filesystem::exists(folder_ / "run/checkpoints/step-00000005.safetensors"))
      << "not due, but the last";

  const std::string before = bytes("run/metrics.jsonl");
  EXPECT_EQ(run(in("run"), 3, Open::resume), Outcome::finished);
  EXPECT_EQ(bytes("run/metrics.jsonl"), before) << "a finished run went on";
}

TEST_F(TrainToAnEarlyEnd, TheRunEndsWithItsScheduleWhereEvaluationsGetBetter) {
  config_.train.early_stopping = {.patience = 12, .min_delta = 0};
  run(in("run"), 2);
  EXPECT_EQ(open_trained(folder_ / "run/final.safetensors", {}).facts.step, 12);
}

TEST_F(TrainToAnEarlyEnd, AnyNumberOfWorkersAndAnyStopEndAtTheSameStep) {
  run(in("one"), 1);
  for (const int workers : {2, 3}) {
    const std::string name = "workers" + std::to_string(workers);
    run(in(name), workers);
    expect_same(name, "one");
  }
  for (const std::int64_t step : {1, 2, 3, 4}) {
    const std::string name = "stopped" + std::to_string(step);
    Config config = in(name);
    config.train.stop_at_step = step;
    EXPECT_EQ(run(config, 2), Outcome::stopped);
    EXPECT_EQ(run(in(name), 3, Open::resume), Outcome::finished);
    expect_same(name, "one");
  }
}

TEST_F(TrainToAnEarlyEnd, MorePatienceGoesOnFromTheEnd) {
  run(in("run"), 2);
  config_.train.early_stopping.patience = 6;
  EXPECT_EQ(run(in("run"), 3, Open::resume), Outcome::finished);
  run(in("at once"), 1);
  EXPECT_EQ(bytes("run/final.safetensors"), bytes("at once/final.safetensors"));
  EXPECT_EQ(metrics("run"), metrics("at once"));
}

TEST_F(TrainToAnEarlyEnd, WhatDecidesTheEndMayNotChangeOnTheWay) {
  Config config = in("run");
  config.train.stop_at_step = 3;
  run(config, 2);
  for (const auto change : {+[](Config& it) { it.evaluation.every_steps = 2; },
                            +[](Config& it) { it.train.early_stopping.patience = 3; },
                            +[](Config& it) { it.train.early_stopping.min_delta = 0; },
                            +[](Config& it) { it.evaluation.metric = EvaluationConfig::Metric::accuracy; },
                            +[](Config& it) { it.train.early_stopping.patience = 0; }}) {
    Config changed = in("run");
    change(changed);
    EXPECT_THROW(run(changed, 2, Open::resume), DataError);
  }
}

using Tensors = std::map<std::string, std::vector<float>>;

// The fp32 tensors of a file whose names begin with `prefix`, without it.
Tensors tensors_in(const std::filesystem::path& file, const std::string& prefix = "") {
  const auto contents = SafetensorsFile::read(file);
  Tensors tensors;
  for (const TensorView& tensor : contents.tensors()) {
    if (tensor.dtype != DType::f32 || !tensor.name.starts_with(prefix)) continue;
    const auto* values = reinterpret_cast<const float*>(tensor.bytes.data());
    tensors[std::string(tensor.name.substr(prefix.size()))] = {values,
                                                               values + tensor.bytes.size() / sizeof(float)};
  }
  return tensors;
}

TEST_F(Train, TheAverageOfTheWeightsIsThatOfTheCheckpointsByHand) {
  config_.train.weight_ema = 0.75;
  config_.checkpoint = {.every_epochs = std::nullopt, .every_steps = 1, .keep = 100};
  run(in("run"), 2);
  const Tensors final = tensors_in(folder_ / "run/final_ema.safetensors");
  Tensors expected;
  for (int step = 1; step <= 8; ++step) {
    const auto file = folder_ / fmt::format("run/checkpoints/step-{:08}.safetensors", step);
    const Tensors all = tensors_in(file);
    for (const auto& [name, unused] : final) {
      const std::vector<float>& values = all.at(name);
      std::vector<float>& average = expected[name];
      if (step == 1) average = values;
      for (std::size_t i = 0; i < values.size(); ++i) average[i] += 0.25F * (values[i] - average[i]);
    }
    EXPECT_EQ(tensors_in(file, "ema_weights."), expected) << step;
  }
  EXPECT_EQ(final, expected);
  EXPECT_NE(final, tensors_in(folder_ / "run/final.safetensors"));
}

TEST_F(Train, TheAverageOfTheWeightsIsTheSameOnAnyNumberOfWorkersAndOverAStop) {
  run(in("plain"), 2);
  config_.train.weight_ema = 0.9;
  config_.train.on_divergence = TrainConfig::OnDivergence::skip;
  run(in("one"), 1);
  EXPECT_EQ(tensors_in(folder_ / "one/final.safetensors"), tensors_in(folder_ / "plain/final.safetensors"))
      << "training itself is another";
  const auto expect_same = [&](const std::string& name) {
    for (const std::string file :
         {"/final.safetensors", "/final_ema.safetensors", last_checkpoint, "/digests.jsonl"}) {
      EXPECT_EQ(bytes(name + file), bytes("one" + file)) << name << file;
    }
    EXPECT_EQ(metrics(name), metrics("one")) << name;
  };
  for (const int workers : {2, 3}) {
    run(in("workers" + std::to_string(workers)), workers);
    expect_same("workers" + std::to_string(workers));
  }
  for (const std::int64_t step : {1, 5}) {
    Config config = in("stopped" + std::to_string(step));
    config.train.stop_at_step = step;
    run(config, 3);
    config.train.stop_at_step = 0;
    run(config, 2, Open::resume);
    expect_same("stopped" + std::to_string(step));
  }
}

TEST_F(Train, EvaluatingTheAveragedFileGivesExactlyWhatTrainingWrote) {
  config_.train.weight_ema = 0.5;
  for (const auto kind : {RunningStatistics::Kind::ema, RunningStatistics::Kind::precise}) {
    const std::string name = kind == RunningStatistics::Kind::ema ? "ema" : "precise";
    config_.normalization.running_stats = {{.name = name, .kind = kind}};
    run(in(name), 2);
    const auto last = metrics(name).back();
    Trained trained = open_trained(folder_ / name / "final_ema.safetensors", {});
    const auto comm = make_single();
    const Datasets data = open_datasets(trained.config.data, trained.config.seed);
    const Score score = evaluate(*comm, trained.model, data.test, trained.transform(), 5, {0}, 1).front();
    EXPECT_EQ(score.loss, last.at("val_loss.ema_weights").get<double>()) << name;
    EXPECT_EQ(score.accuracy, last.at("val_accuracy.ema_weights").get<double>()) << name;
    EXPECT_NE(score.loss, last.at("val_loss").get<double>()) << name;
  }
}

TEST_F(Train, TheGradientNormIsToldWhereItIsAskedFor) {
  run(in("not clipped"), 2);
  EXPECT_FALSE(metrics("not clipped")[0].contains("grad_norm"));
  config_.optimizer.clip_norm = 1e9;  // nothing is that long
  run(in("told"), 2);
  EXPECT_GT(metrics("told")[0].at("grad_norm"), 0);
  EXPECT_EQ(bytes("told/digests.jsonl"), bytes("not clipped/digests.jsonl"));
}

TEST_F(Train, StoppedAndResumedElsewhereItWritesTheSameBytes) {
  run(in("whole"), 2);
  for (const std::int64_t step : {1, 4, 7}) {  // the first step, an epoch's last, its last but one
    const std::string name = "stopped" + std::to_string(step);
    Config config = in(name);
    config.train.stop_at_step = step;
    EXPECT_EQ(run(config, 4), Outcome::stopped);
    EXPECT_FALSE(std::filesystem::exists(folder_ / name / "final.safetensors"));
    EXPECT_EQ(run(in(name), 3, Open::resume), Outcome::finished);
    EXPECT_EQ(bytes(name + "/final.safetensors"), bytes("whole/final.safetensors")) << name;
    EXPECT_EQ(bytes(name + last_checkpoint), bytes("whole" + std::string(last_checkpoint))) << name;
    EXPECT_EQ(bytes(name + "/digests.jsonl"), bytes("whole/digests.jsonl")) << name;
    EXPECT_EQ(metrics(name), metrics("whole")) << name;
  }
}

TEST_F(Train, WhenItEvaluatesAndSavesChangesNoByteOfACheckpoint) {
  run(in("run"), 1);
  config_.evaluation.every_epochs.reset();
  config_.evaluation.every_steps = 3;
  config_.checkpoint.every_epochs.reset();
  config_.checkpoint.every_steps = 4;
  run(in("other"), 2);
  for (const char* file : {"/checkpoints/step-00000004.safetensors", last_checkpoint}) {
    EXPECT_EQ(bytes(std::string("other") + file), bytes(std::string("run") + file));
  }
}

TEST_F(Train, PreciseStatisticsDoNotTellWhenTheRunEvaluated) {
  config_.normalization.running_stats = {{.name = "precise", .kind = RunningStatistics::Kind::precise},
                                         {.name = "ema"}};
  config_.normalization.precise_batches = 3;
  config_.checkpoint = {.every_epochs = std::nullopt, .every_steps = 3, .keep = 10};
  run(in("run"), 1);
  config_.evaluation = {.every_epochs = std::nullopt, .every_steps = 2, .batch = 5};
  run(in("other"), 3);
  for (const char* file :
       {"/checkpoints/step-00000003.safetensors", last_checkpoint, "/final.safetensors", "/digests.jsonl"}) {
    EXPECT_EQ(bytes(std::string("other") + file), bytes(std::string("run") + file)) << file;
  }
}

TEST_F(Train, WhatIsKeptOfTheStatisticsChangesNoWeight) {
  run(in("run"), 1);
  config_.normalization.running_stats = {{.name = "precise", .kind = RunningStatistics::Kind::precise},
                                         {.name = "ema:0.5", .momentum = 0.5},
                                         {.name = "cumulative", .kind = RunningStatistics::Kind::cumulative}};
  config_.evaluation.batch_statistics = true;
  run(in("other"), 2);
  const auto weights = [&](const std::string& run) {
    Trained trained = open_trained(folder_ / run / "final.safetensors", {});
    return std::vector<float>(trained.model.arena().begin(), trained.model.arena().end());
  };
  EXPECT_EQ(weights("other"), weights("run"));
}

TEST_F(Train, FrozenStatisticsStayOverAStop) {
  for (const auto kind : {RunningStatistics::Kind::ema, RunningStatistics::Kind::precise}) {
    const std::string primary = kind == RunningStatistics::Kind::ema ? "ema" : "precise";
    config_.normalization.running_stats = {
        {.name = primary, .kind = kind}, {.name = "cumulative", .kind = RunningStatistics::Kind::cumulative}};
    config_.normalization.freeze_after_epochs = 1;
    config_.normalization.precise_batches = 2;
    config_.checkpoint = {.every_epochs = std::nullopt, .every_steps = 1, .keep = 10};
    run(in(primary), 2);
    const auto statistics = [&](const std::string& file) {
      const auto contents = SafetensorsFile::read(folder_ / primary / file);
      std::string bytes;
      for (const TensorView& tensor : contents.tensors()) {
        if (tensor.name.find("running_") == std::string_view::npos) continue;
        bytes.append(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size());
      }
      return bytes;
    };
    const std::string frozen = statistics("checkpoints/step-00000004.safetensors");
    EXPECT_NE(statistics("checkpoints/step-00000003.safetensors"), frozen);
    EXPECT_EQ(statistics("checkpoints/step-00000005.safetensors"), frozen);
    EXPECT_EQ(statistics("final.safetensors"), frozen);

    for (const std::int64_t step : {4, 6}) {
      Config config = in(primary + "-stopped" + std::to_string(step));
      config.train.stop_at_step = step;
      EXPECT_EQ(run(config, 3), Outcome::stopped);
      config.train.stop_at_step = 0;
      EXPECT_EQ(run(config, 1, Open::resume), Outcome::finished);
      EXPECT_EQ(bytes(primary + "-stopped" + std::to_string(step) + "/final.safetensors"),
                bytes(primary + "/final.safetensors"));
    }
  }
}

TEST_F(Train, EvaluatingTheFileGivesExactlyWhatTrainingWrote) {
  config_.normalization.running_stats.push_back(
      {.name = "precise", .kind = RunningStatistics::Kind::precise});
  config_.evaluation.batch_statistics = true;
  run(in("run"), 3);
  const auto last = metrics("run").back();
  Trained trained = open_trained(folder_ / "run/final.safetensors", {});
  const auto comm = make_single();
  const Datasets data = open_datasets(trained.config.data, trained.config.seed);
  const auto scores =
      evaluate(*comm, trained.model, data.test, trained.transform(), trained.config.evaluation.batch,
               {0, trained.entry("cumulative"), trained.entry("precise"), trained.entry("batch")}, 1);
  EXPECT_EQ(scores[0].samples, 13);
  EXPECT_EQ(scores[0].loss, last.at("val_loss").get<double>());
  EXPECT_EQ(scores[0].accuracy, last.at("val_accuracy").get<double>());
  EXPECT_EQ(scores[1].accuracy, last.at("val_accuracy.cumulative").get<double>());
  EXPECT_EQ(scores[2].loss, last.at("val_loss.precise").get<double>());
  EXPECT_EQ(scores[3].loss, last.at("val_loss.batch").get<double>());
}

TEST_F(Train, ResumingWhereNothingIsStartsAfresh) {
  EXPECT_EQ(run(in("new"), 1, Open::resume), Outcome::finished);
  run(in("fresh"), 1);
  EXPECT_EQ(bytes("new/final.safetensors"), bytes("fresh/final.safetensors"));
}

TEST_F(Train, ResumingAFinishedRunChangesNothing) {
  run(in("run"), 1);
  const std::string before = bytes("run/metrics.jsonl");
  EXPECT_EQ(run(in("run"), 2, Open::resume), Outcome::finished);
  EXPECT_EQ(bytes("run/metrics.jsonl"), before);
}

TEST_F(Train, ResumingWithAnotherResultIsRefusedAndNamesTheKey) {
  Config config = in("run");
  config.train.stop_at_step = 3;
  run(config, 1);
  const std::string before = bytes("run/config.yaml");
  Config changed = in("run");
  changed.optimizer.lr = 0.7;
  try {
    run(changed, 2, Open::resume);
    FAIL();
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), HasSubstr("optimizer.lr"));
  }
  EXPECT_EQ(bytes("run/config.yaml"), before);
}

TEST_F(Train, AFinishedRunMayGoOnForMoreEpochsOfTheSameSchedule) {
  config_.schedule.decay = ScheduleConfig::Decay::constant;
  run(in("longer"), 2);
  config_.schedule.epochs = 3;
  EXPECT_EQ(run(in("longer"), 1, Open::resume), Outcome::finished);
  run(in("at once"), 2);
  EXPECT_EQ(bytes("longer/final.safetensors"), bytes("at once/final.safetensors"));
  EXPECT_EQ(bytes("longer/digests.jsonl"), bytes("at once/digests.jsonl"));
}

TEST_F(Train, ADirectoryThatHoldsARunIsLeftAlone) {
  run(in("run"), 1);
  const std::string before = bytes("run/final.safetensors");
  Config other = in("run");
  other.seed = 2;
  EXPECT_THROW(run(other, 2), DataError);
  EXPECT_EQ(bytes("run/final.safetensors"), before);
  EXPECT_EQ(run(other, 2, Open::overwrite), Outcome::finished);
  EXPECT_NE(bytes("run/final.safetensors"), before);
}

TEST_F(Train, ACheckpointCutShortIsRefusedByAllWorkers) {
  Config config = in("run");
  config.train.stop_at_step = 3;
  run(config, 1);
  std::filesystem::resize_file(folder_ / "run/checkpoints/step-00000003.safetensors", 500);
  EXPECT_THROW(run(in("run"), 3, Open::resume), DataError);
}

// While one is alive, this process can open no file, whoever its user is.
class NoMoreFiles {
 public:
  NoMoreFiles() {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit none{0, before_.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &none);
  }
  ~NoMoreFiles() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  NoMoreFiles(const NoMoreFiles&) = delete;
  NoMoreFiles& operator=(const NoMoreFiles&) = delete;

 private:
  rlimit before_{};
};

TEST_F(Train, CheckpointsThatRank0CannotListAreRefusedByAllWorkers) {
  const RunDirectory directory(folder_ / "run", Open::resume, {});
  std::vector<std::string> refusals(2);
  run_workers({Workers::Kind::threads, 2, 0}, config_.comm, [&](Communicator& comm) {
    Session session(comm, config_, open_inputs(comm, config_));
    // The undefined behaviour sanitizer opens a pipe where it meets a type of object for the first time.
    EXPECT_THROW(agree(comm, "before", [] { throw DataError("met"); }), DataError);
    comm.barrier(Lane::statistics, "ready").wait();  // rank 0 may take the other's files too
    std::optional<NoMoreFiles> while_looking;
    if (comm.rank() == 0) while_looking.emplace();
    comm.set_timeout(std::chrono::seconds(1));
    try {
      find_start(comm, comm.rank() == 0 ? &directory : nullptr, session);
    } catch (const DataError& error) {
      refusals[static_cast<std::size_t>(comm.rank())] = error.what();
    }
    while_looking.reset();
    comm.barrier(Lane::statistics, "over").wait();
  });
  EXPECT_THAT(refusals, testing::Each(HasSubstr("checkpoints")));
}

TEST_F(Train, AStopThatCameBeforeTheFirstStepCanBeResumed) {
  {
    const StopSignals signals;
    std::raise(SIGTERM);
    EXPECT_EQ(run(in("run"), 2), Outcome::stopped);
  }
  { const StopSignals again; }  // forgets the signal
  EXPECT_EQ(run(in("run"), 1, Open::resume), Outcome::finished);
  run(in("whole"), 1);
  EXPECT_EQ(bytes("run/final.safetensors"), bytes("whole/final.safetensors"));
}

// A launcher asks until the process is gone.
TEST_F(Train, ARequestThatComesAfterTheRunDoesNothing) {
  std::signal(SIGUSR1, SIG_DFL);
  { const StopSignals signals; }
  EXPECT_EQ(std::raise(SIGUSR1), 0);
}

TEST_F(Train, ARunWhoseTimeIsOverSavesAndCanBeResumed) {
  Config config = in("run");
  config.train.max_time = 1e-9;
  EXPECT_EQ(run(config, 3), Outcome::stopped);
  EXPECT_FALSE(stop_requested()) << "the limit outlived its run";
  EXPECT_EQ(run(in("run"), 2, Open::resume), Outcome::finished);
  run(in("whole"), 1);
  EXPECT_EQ(bytes("run/final.safetensors"), bytes("whole/final.safetensors"));
  EXPECT_EQ(bytes("run" + std::string(last_checkpoint)), bytes("whole" + std::string(last_checkpoint)));
}

TEST_F(Train, ATimeThatIsNotOverStopsNothing) {
  config_.train.max_time = 3600;
  EXPECT_EQ(run(in("run"), 2), Outcome::finished);
}

TEST_F(Train, TheEndOfTheTimeEndsAnEvaluationOnAllWorkers) {
  std::atomic<int> stopped{0};
  run_workers({Workers::Kind::threads, 2, 0}, config_.comm, [&](Communicator& comm) {
    Session session(comm, config_, open_inputs(comm, config_));
    std::optional<TimeLimit> over;
    if (comm.rank() == 0) over.emplace(1e-9);
    comm.barrier(Lane::statistics, "ready").wait();
    try {
      evaluate(comm, session.model(), session.inputs().data.test, session.inputs().transform, 5, {0}, 1);
    } catch (const Error& error) {
      if (error.code() == ExitCode::stopped) ++stopped;
    }
  });
  EXPECT_EQ(stopped, 2);
}

TEST_F(Train, AStopTellsOfLinesThatCouldNotBeWritten) {
  std::filesystem::create_directories(folder_ / "run/checkpoints");
  std::filesystem::create_symlink("/dev/full", folder_ / "run/metrics.jsonl");
  config_.train.stop_at_step = 1;
  EXPECT_THROW(run(in("run"), 2, Open::resume), DataError);
}

TEST_F(Train, ASaveThatFailsIsLeftToTheNext) {
  config_.checkpoint = {.every_epochs = std::nullopt, .every_steps = 1, .keep = 10};
  run(in("whole"), 1);
  for (const int step : {2, 3, 5}) forbid_checkpoint("run", step);
  EXPECT_EQ(run(in("run"), 3, Open::resume), Outcome::finished);
  for (const std::string file :
       {"checkpoints/step-00000004.safetensors", "checkpoints/step-00000006.safetensors",
        "checkpoints/latest", "final.safetensors", "digests.jsonl"}) {
    EXPECT_EQ(bytes("run/" + file), bytes("whole/" + file)) << file;
  }
}

TEST_F(Train, ThreeSavesThatFailInARowEndTheRunOnAllWorkers) {
  config_.checkpoint = {.every_epochs = std::nullopt, .every_steps = 1, .keep = 10};
  for (const int step : {2, 3, 4}) forbid_checkpoint("run", step);
  std::atomic<int> ended{0};
  run_workers({Workers::Kind::threads, 3, 0}, config_.comm, [&](Communicator& comm) {
    try {
      train(comm, in("run"), Open::resume);
    } catch (const DataError& error) {
      EXPECT_THAT(error.what(), AllOf(HasSubstr("step 4"), HasSubstr("step-00000004.safetensors"),
                                      HasSubstr("step-00000001.safetensors is whole")));
      ++ended;
    }
  });
  EXPECT_EQ(ended, 3);
  EXPECT_EQ(bytes("run/checkpoints/latest"), "step-00000001.safetensors\n");
}

TEST_F(Train, NoStopAndNoEndWithoutASave) {
  forbid_checkpoint("stopped", 3);
  Config config = in("stopped");
  config.train.stop_at_step = 3;
  EXPECT_THROW(run(config, 2, Open::resume), DataError);

  forbid_checkpoint("finished", 8);
  EXPECT_THROW(run(in("finished"), 2, Open::resume), DataError);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "finished/final.safetensors"));
}

TEST_F(Train, AStopWhileTheRunDirectoryIsInUseEndsTheWait) {
  const RunDirectory held(folder_ / "run", Open::fresh, {});
  {
    const StopSignals signals;
    std::raise(SIGTERM);
    try {
      run(in("run"), 2);
      ADD_FAILURE();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::stopped) << error.what();
    }
  }
  { const StopSignals again; }  // forgets the signal
  EXPECT_FALSE(std::filesystem::exists(held.config()));
}

TEST_F(Train, DivergenceSavesNothing) {
  config_.optimizer.lr = 1e38;
  config_.checkpoint = {.every_epochs = std::nullopt, .every_steps = 1, .keep = 100};
  EXPECT_THROW(run(in("run"), 2), DivergedError);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "run/final.safetensors"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "run/checkpoints/step-00000008.safetensors"));
}

// What two workers' run that diverges says.
std::string what_diverged(const Config& config) {
  try {
    run(config, 2);
  } catch (const DivergedError& error) {
    return error.what();
  }
  return "";
}

TEST_F(Train, WeightsThatAreNoLongerFiniteAreToldWithTheirFirstStepAndTensor) {
  config_.optimizer.lr = 1e300;
  EXPECT_THAT(what_diverged(in("run")), testing::StartsWith("step 1: fc1.weight is no longer finite"));
  EXPECT_TRUE(metrics("run").empty());
}

// One layer, whose gradients are as large as its inputs. Their squares are not finite, and each later update
// of its weights would be 0.
TEST_F(Train, SquaresOfGradientsThatOverflowAreADivergence) {
  config_.model = {.name = "mlp", .layers = {}, .hidden = {}};
  config_.optimizer.name = OptimizerConfig::Name::adamw;
  config_.data.mean = {0};
  config_.data.deviation = {1e-20};
  EXPECT_THAT(what_diverged(in("run")),
              testing::StartsWith("step 1: fc1.weight's exp_avg_sq is no longer finite"));
}

// After its first step the weights are finite, but what they give with running statistics is not. There is no
// step that could be undone for it.
TEST_F(Train, AnEvaluationThatIsNotFiniteEndsTheRunBeforeItSaves) {
  config_.optimizer.lr = 1e25;
  config_.evaluation = {
      .every_epochs = std::nullopt, .every_steps = 1, .batch = 5, .batch_statistics = false};
  config_.checkpoint = {.every_epochs = std::nullopt, .every_steps = 1, .keep = 100, .best = true};
  config_.data.validation = 0.3;
  for (const auto on_divergence : {TrainConfig::OnDivergence::stop, TrainConfig::OnDivergence::skip}) {
    config_.train.on_divergence = on_divergence;
    const std::string name = on_divergence == TrainConfig::OnDivergence::stop ? "stop" : "skip";
    EXPECT_THAT(
        what_diverged(in(name)),
        testing::StartsWith("step 1: the evaluation diverged: the output of layer 'bn1' is not finite"));
    EXPECT_FALSE(std::filesystem::exists(folder_ / name / "best.safetensors"));
    EXPECT_FALSE(std::filesystem::exists(folder_ / name / "checkpoints/step-00000001.safetensors"));
  }
}

// The learning rate is absurd for the first half of an epoch, two steps, then as it should be.
TEST_F(Train, ASkippedStepIsUndoneOnAllWorkersAndCounted) {
  config_.train.on_divergence = TrainConfig::OnDivergence::skip;
  config_.optimizer.lr = 1e300;
  config_.schedule.decay = ScheduleConfig::Decay::step;
  config_.schedule.step_epochs = 0.5;
  config_.schedule.step_factor = 1e-150;
  config_.checkpoint = {.every_epochs = std::nullopt, .every_steps = 1, .keep = 100};
  run(in("run"), 1);

  const auto state = [&](const std::string& file) {
    const auto contents = SafetensorsFile::read(folder_ / file);
    std::map<std::string, std::string> tensors;
    for (const TensorView& tensor : contents.tensors()) {
      tensors[std::string(tensor.name)] = {reinterpret_cast<const char*>(tensor.bytes.data()),
                                           tensor.bytes.size()};
    }
    return tensors;
  };
  auto first = state("run/checkpoints/step-00000001.safetensors");
  auto second = state("run/checkpoints/step-00000002.safetensors");
  for (const char* counter : {"train.step", "train.skipped", "train.skipped_in_a_row"}) {
    EXPECT_NE(first[counter], second[counter]);
    first.erase(counter);
    second.erase(counter);
  }
  EXPECT_EQ(first, second);
  EXPECT_EQ(metrics("run")[0], (nlohmann::json{{"step", 1}, {"epoch", 1}, {"skipped", 1}}));

  for (const int workers : {2, 3}) {
    const std::string name = "workers" + std::to_string(workers);
    run(in(name), workers);
    EXPECT_EQ(bytes(name + "/final.safetensors"), bytes("run/final.safetensors"));
    EXPECT_EQ(bytes(name + last_checkpoint), bytes(std::string("run") + last_checkpoint));
  }
  Config stopped = in("stopped");
  stopped.train.stop_at_step = 1;
  run(stopped, 2);
  run(in("stopped"), 3, Open::resume);
  EXPECT_EQ(bytes(std::string("stopped") + last_checkpoint), bytes(std::string("run") + last_checkpoint));
}

TEST_F(Train, WhereEveryStepDivergesTheRunEnds) {
  config_.train.on_divergence = TrainConfig::OnDivergence::skip;
  config_.optimizer.lr = 1e300;
  config_.schedule.epochs = 4;
  config_.schedule.decay = ScheduleConfig::Decay::constant;
  EXPECT_THROW(run(in("run"), 2), DivergedError);
  const auto lines = metrics("run");
  EXPECT_EQ(
      std::count_if(lines.begin(), lines.end(), [](const auto& line) { return line.contains("skipped"); }),
      9);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "run/final.safetensors"));

  config_.train.stop_at_step = 5;
  EXPECT_EQ(run(in("stopped"), 2), Outcome::stopped);
  config_.train.stop_at_step = 0;
  try {
    run(in("stopped"), 3, Open::resume);
    FAIL();
  } catch (const DivergedError& error) {
    EXPECT_THAT(error.what(), testing::AllOf(HasSubstr("step 10: "), HasSubstr("10 steps in a row")));
  }
}

TEST_F(Train, DivergedPreciseStatisticsNameTheirStep) {
  config_.normalization.running_stats = {{.name = "precise", .kind = RunningStatistics::Kind::precise}};
  config_.evaluation = {
      .every_epochs = std::nullopt, .every_steps = 1, .batch = 5, .batch_statistics = false};
  config_.optimizer.lr = 1e25;
  try {
    run(in("run"), 2);
    FAIL();
  } catch (const DivergedError& error) {
    EXPECT_THAT(error.what(), HasSubstr("step 1: the precise statistics of layer"));
  }
}

TEST_F(Train, APlanThatDoesNotFitIsRefusedBeforeAnythingIsWritten) {
  config_.plan.memory_mib = 1;
  config_.batch.global = 1 << 20;
  EXPECT_THROW(run(in("run"), 2), UsageError);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "run"));
}

TEST_F(Train, ASingleValueAChannelIsRefusedWithTheStepItWouldHappenIn) {
  config_.data.synthetic.samples = 31;  // 3 batches of 10, and 1 sample left
  try {
    run(in("run"), 2);
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(), testing::AllOf(HasSubstr("step 4 "), HasSubstr("data.drop_last: true")));
  }
  config_.data.drop_last = true;
  EXPECT_EQ(run(in("run"), 2), Outcome::finished);
}

TEST_F(Train, APreciseBatchWithoutVarianceIsRefusedWithItsOwnRemedy) {
  config_.data.synthetic.samples = 31;  // 3 batches of 10, and 1 sample left
  config_.schedule.epochs.reset();
  config_.schedule.steps = 2;
  config_.normalization.running_stats = {{.name = "precise", .kind = RunningStatistics::Kind::precise}};
  try {
    run(in("run"), 2);
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(), HasSubstr("normalization.precise_batches to at most 3"));
  }
  config_.normalization.precise_batches = 3;
  EXPECT_EQ(run(in("run"), 2), Outcome::finished);
}

TEST_F(Train, AnEvaluationBatchWithoutVarianceIsRefusedWhereItNormalizesByItself) {
  config_.evaluation.batch = 4;  // 13 test images: the last batch has one
  EXPECT_EQ(run(in("run"), 2), Outcome::finished);
  config_.evaluation.batch_statistics = true;
  try {
    run(in("refused"), 2);
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(), HasSubstr("Set another evaluation.batch"));
  }
  EXPECT_FALSE(std::filesystem::exists(folder_ / "refused"));
}

TEST_F(Train, ABatchThatIsNeverFilledIsRefused) {
  config_.batch.global = 34;
  config_.data.drop_last = true;
  EXPECT_THROW(run(in("run"), 1), UsageError);
}

}  // namespace
}  // namespace lockstep
