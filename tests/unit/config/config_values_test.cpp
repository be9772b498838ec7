#include <gmock/gmock.h>

#include <limits>

#include "comm/nccl/nccl.h"
#include "config_support.h"

namespace lockstep {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(ConfigValues, AnEmptyFileGivesAllDefaults) {
  const std::string defaults = to_yaml(Config{});
  EXPECT_EQ(to_yaml(parse("")), defaults);
  EXPECT_EQ(to_yaml(parse("# only a comment\n")), defaults);
  EXPECT_EQ(to_yaml(parse("---\n...\n")), defaults);
  EXPECT_EQ(to_yaml(parse("data:\nbatch: {}\n")), defaults);
}

TEST(ConfigValues, EveryTypeIsRead) {
  const Config config = parse(R"(
seed: 18446744073709551615
run_dir: "runs/with space"
threads: 3
batch: {global: 96, shards: 4}
normalization: {sync: 2, running_stats: ["ema:0.01", cumulative, ema], momentum: 0.25}
data: {dataset: synthetic, drop_last: true, mean: [0.5], std: [0.25], augment: {pad_crop: 2, flip: true}}
optimizer: {name: adamw, lr: 1e-3}
schedule: {steps: 200, decay: step}
comm: {overlap: off, backend: threads}
)");
  EXPECT_EQ(config.seed, std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(config.run_dir, "runs/with space");
  EXPECT_EQ(config.threads, 3);
  EXPECT_EQ(config.batch.global, 96);
  EXPECT_EQ(config.normalization.sync, "2");
  EXPECT_EQ(config.data.dataset, DataConfig::Dataset::synthetic);
  EXPECT_TRUE(config.data.drop_last);
  EXPECT_THAT(config.data.mean, ElementsAre(0.5));
  EXPECT_THAT(config.data.deviation, ElementsAre(0.25));
  EXPECT_TRUE(config.data.augment.flip);
  EXPECT_EQ(config.optimizer.name, OptimizerConfig::Name::adamw);
  EXPECT_EQ(config.optimizer.lr, 1e-3);
  EXPECT_EQ(config.schedule.steps, 200);
  EXPECT_EQ(config.schedule.epochs, std::nullopt);
  EXPECT_EQ(config.comm.overlap, CommConfig::Overlap::off);
}

TEST(ConfigValues, AnchorsAndAliasesAreFollowed) {
  const Config config = parse("batch: {global: &n 64}\nevaluation: {batch: *n}\n");
  EXPECT_EQ(config.evaluation.batch, 64);
}

TEST(ConfigValues, RunningStatisticsHaveTheirMomentum) {
  const auto entries = parse("normalization: {running_stats: [cumulative, ema, 'ema:0.01'], momentum: 0.3}")
                           .normalization.running_stats;
  ASSERT_EQ(entries.size(), 3u);
  EXPECT_EQ(entries[0].kind, RunningStatistics::Kind::cumulative);
  EXPECT_EQ(entries[1].momentum, 0.3) << "whichever of the two keys is read first";
  EXPECT_EQ(entries[2].momentum, 0.01);
  EXPECT_EQ(entries[2].name, "ema:0.01");
}

TEST(ConfigValues, AWarmUpLongerThanTheRunIsAllowed) {
  EXPECT_EQ(parse("schedule: {epochs: 1, warmup_epochs: 7.5}").schedule.warmup_epochs, 7.5);
}

TEST(ConfigValues, BoundsThemselvesAreInOrOutAsTheTableSays) {
  for (const char* good : {"batch: {shards: 1}", "batch: {shards: 4096}", "optimizer: {momentum: 0}",
                           "normalization: {momentum: 1}", "seed: 0", "train: {stop_at_step: 0}"}) {
    EXPECT_EQ(mistakes(good), "") << good;
  }
  for (const char* bad :
       {"batch: {shards: 0}", "batch: {shards: 4097}", "optimizer: {momentum: 1}", "normalization: {eps: 0}",
        "seed: -1", "threads: 0", "data: {std: [0], mean: [0]}", "schedule: {step_factor: 1.01}",
        "data: {validation: 1}", "schedule: {epochs: 0}"}) {
    EXPECT_THAT(mistakes(bad), HasSubstr("expected a")) << bad;
  }
}

TEST(ConfigValues, ADurationIsInSecondsWhateverItsUnit) {
  for (const auto& [text, seconds] :
       {std::pair("90", 90.0), std::pair("90s", 90.0), std::pair("0.5m", 30.0), std::pair("2h", 7200.0),
        std::pair("1d", 86400.0), std::pair("0", 0.0)}) {
    EXPECT_EQ(parse(std::string("train: {max_time: ") + text + "}").train.max_time, seconds) << text;
  }
  for (const char* wrong : {"-1", "2w", "h", "1h30m", "1 h", "'2h'", "1e99d", "nan", "[1]", "2hh"}) {
    EXPECT_THAT(
        mistakes(std::string("train: {max_time: ") + wrong + "}"),
        HasSubstr("a.yaml:1:19: train.max_time: expected a duration, 0 to 1000000000 seconds, also as "
                  "90s, 30m, 2h or 1d; found "))
        << wrong;
  }
}

TEST(ConfigValues, NcclIsThereWhereTheBuildHasIt) {
  const char* const yaml = "comm: {backend: nccl}";
  if (has_nccl()) {
    EXPECT_EQ(parse(yaml).comm.backend, CommConfig::Backend::nccl);
  } else {
    EXPECT_EQ(mistakes(yaml),
              "a.yaml:1:17: comm.backend: 'nccl' is not in this build, which has no CUDA: configure with "
              "cmake --preset cuda (scripts/cuda_toolkit.sh brings what that needs), or use auto");
  }
}

struct Wrong {
  const char* yaml;
  const char* message;
};
class ConfigWrongValue : public testing::TestWithParam<Wrong> {};

TEST_P(ConfigWrongValue, IsToldWithItsPlaceAndWhatWouldBeRight) {
  EXPECT_EQ(mistakes(GetParam().yaml), GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    Values, ConfigWrongValue,
    testing::Values(
        Wrong{"batch:\n  global: many\n",
              "a.yaml:2:11: batch.global: expected a whole number, 1 to 1000000; found 'many'"},
        Wrong{"threads: 1e3", "a.yaml:1:10: threads: expected a whole number, 1 to 1024; found '1e3'"},
        Wrong{"threads: 2.0", "a.yaml:1:10: threads: expected a whole number, 1 to 1024; found '2.0'"},
        Wrong{"threads: 0x10", "a.yaml:1:10: threads: expected a whole number, 1 to 1024; found '0x10'"},
        Wrong{"threads: 010", "a.yaml:1:10: threads: expected a whole number, 1 to 1024; found '010'"},
        Wrong{"threads: '2'", "a.yaml:1:10: threads: expected a whole number, 1 to 1024; found the text '2'"},
        Wrong{"threads: [2]", "a.yaml:1:10: threads: expected a whole number, 1 to 1024; found a list"},
        Wrong{"threads: {a: 2}", "a.yaml:1:10: threads: expected a whole number, 1 to 1024; found a map"},
        Wrong{"seed: 1\nthreads:\n", "a.yaml:2:1: threads: has no value; leave the key out for its default"},
        Wrong{"threads: 99999999999999999999",
              "a.yaml:1:10: threads: expected a whole number, 1 to 1024; found '99999999999999999999'"},
        Wrong{"seed: 18446744073709551616",
              "a.yaml:1:7: seed: expected a whole number, 0 to 18446744073709551615; found "
              "'18446744073709551616'"},
        Wrong{"optimizer: {lr: .nan}",
              "a.yaml:1:17: optimizer.lr: expected a number, at least 0; found '.nan'"},
        Wrong{"optimizer: {lr: nan}",
              "a.yaml:1:17: optimizer.lr: expected a number, at least 0; found 'nan'"},
        Wrong{"optimizer: {lr: inf}",
              "a.yaml:1:17: optimizer.lr: expected a number, at least 0; found 'inf'"},
        Wrong{"optimizer: {lr: 1e999}",
              "a.yaml:1:17: optimizer.lr: expected a number, at least 0; found '1e999'"},
        Wrong{"optimizer: {lr: -0.1}",
              "a.yaml:1:17: optimizer.lr: expected a number, at least 0; found '-0.1'"},
        Wrong{"optimizer: {lr: 0.1x}",
              "a.yaml:1:17: optimizer.lr: expected a number, at least 0; found '0.1x'"},
        Wrong{"plan: {fuse: yes}", "a.yaml:1:14: plan.fuse: expected true or false; found 'yes'"},
        Wrong{"plan: {fuse: 1}", "a.yaml:1:14: plan.fuse: expected true or false; found '1'"},
        Wrong{"run_dir: ''", "a.yaml:1:10: run_dir: expected text, not empty; found the text ''"},
        Wrong{"run_dir: [a]", "a.yaml:1:10: run_dir: expected text, not empty; found a list"},
        Wrong{"run_dir: \xff",
              "a.yaml:1:10: run_dir: expected text, not empty; found text that is not UTF-8"},
        Wrong{"optimizer: {name: sdg}",
              "a.yaml:1:19: optimizer.name: expected one of sgd, adamw; found 'sdg'; did you mean 'sgd'?"},
        Wrong{"model: {name: 3}",
              "a.yaml:1:15: model.name: expected one of mlp, cnn, resnet20, resnet18, resnet34, resnet50; "
              "found '3'; did you mean 'mlp'?"},
        Wrong{"model: {name: [cnn]}",
              "a.yaml:1:15: model.name: expected one of mlp, cnn, resnet20, resnet18, resnet34, resnet50; "
              "found a list"},
        Wrong{"precision: tf32",
              "a.yaml:1:1: precision: tf32 is for GPUs, and device is cpu; set device: gpu, or precision: "
              "fp32"},
        Wrong{"device: cuda",
              "a.yaml:1:9: device: expected one of cpu, gpu; found 'cuda'; did you mean 'cpu'?"},
        Wrong{"precision: fp16",
              "a.yaml:1:12: precision: expected one of fp32, bf16, tf32; found 'fp16'; did you mean 'fp32'?"},
        Wrong{"model: {hidden: [128, 0]}",
              "a.yaml:1:23: model.hidden[1]: expected a whole number, 1 to 1000000; found '0'"},
        Wrong{"model: {hidden: 128}",
              "a.yaml:1:17: model.hidden: expected a list, each a whole number, 1 to 1000000; found '128'"},
        Wrong{"data: {mean: [0.1, x], std: [1, 1]}",
              "a.yaml:1:20: data.mean[1]: expected a number; found 'x'"},
        Wrong{"data: {mean: [0.1]}",
              "a.yaml:1:8: data.mean: data.mean has 1 values and data.std has 0; both need one a channel"},
        Wrong{"normalization: {sync: everything}",
              "a.yaml:1:23: normalization.sync: expected global, local, or a whole number of shards, 1 to "
              "4096; "
              "found 'everything'"},
        Wrong{"normalization: {sync: 0}",
              "a.yaml:1:23: normalization.sync: expected global, local, or a whole number of shards, 1 to "
              "4096; "
              "found '0'"},
        Wrong{"normalization: {sync: 16}",
              "a.yaml:1:17: normalization.sync: 16 shards are more than the 8 of batch.shards"},
        Wrong{"normalization: {running_stats: [ema, 'ema:1.5']}",
              "a.yaml:1:38: normalization.running_stats[1]: expected ema, ema:M with M from 0 to 1, "
              "cumulative, or precise; found the text 'ema:1.5'"},
        Wrong{"normalization: {running_stats: [precise, precise]}",
              "a.yaml:1:17: normalization.running_stats: precise is there twice"},
        Wrong{"normalization: {precise_batches: 0, freeze_after_epochs: -1}",
              "a.yaml:1:34: normalization.precise_batches: expected a whole number, 1 to 1000000000; found "
              "'0'\na.yaml:1:58: normalization.freeze_after_epochs: expected a whole number, 0 to 1000000; "
              "found '-1'"},
        Wrong{"normalization: {running_stats: []}",
              "a.yaml:1:32: normalization.running_stats: expected a list of ema, ema:M with M from 0 to 1, "
              "cumulative, or precise, at least one; found an empty list"},
        Wrong{"normalization: {running_stats: ema}",
              "a.yaml:1:32: normalization.running_stats: expected a list of ema, ema:M with M from 0 to 1, "
              "cumulative, or precise, at least one; found 'ema'"},
        Wrong{"normalization: {running_stats: [cumulative, ema, cumulative]}",
              "a.yaml:1:17: normalization.running_stats: cumulative is there twice"},
        Wrong{"normalization: {running_stats: [ema, 'ema:0.10']}",
              "a.yaml:1:17: normalization.running_stats: ema and ema:0.10 are the same statistic"}));

TEST(ConfigValues, WhatIsBestNeedsAValidationSplit) {
  const std::string wrong =
      "needs a validation split, and data.validation is 0; keep a share of the training set for it, as with "
      "data.validation: 0.1";
  EXPECT_EQ(
      mistakes("checkpoint: {best: true}\ntrain: {early_stopping: {patience: 2}}"),
      "a.yaml:1:14: checkpoint.best: " + wrong + "\na.yaml:2:26: train.early_stopping.patience: " + wrong);
  EXPECT_EQ(mistakes("", {"checkpoint.best=true"}), "--set checkpoint.best=true: " + wrong);
  EXPECT_EQ(
      mistakes("data: {validation: 0.1}\ncheckpoint: {best: true}\ntrain: {early_stopping: {patience: 2}}"),
      "");
}

TEST(ConfigValues, AMistakeThatFollowsFromAnotherIsNotTold) {
  EXPECT_EQ(mistakes("batch: {shards: many}\nnormalization: {sync: 16}"),
            "a.yaml:1:17: batch.shards: expected a whole number, 1 to 4096; found 'many'");
}

}  // namespace
}  // namespace lockstep
