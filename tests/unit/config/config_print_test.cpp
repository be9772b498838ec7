#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "config_support.h"

namespace lockstep {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

// No value of it is the default.
const char* const everything = R"(
seed: 12345678901234567890
run_dir: "a: b # 'c' \"d\"\n\\"
model: {layers: [{conv2d: {out: 4}, name: stem}, batch_norm, {residual: {body: [{conv2d: {out: 4, padding: 1}}, {dropout: {probability: 0.3}}], shortcut: [relu]}}, flatten, {linear: {out: 10}}], hidden: [], dropout: 0.1}
batch: {global: 100, shards: 7}
normalization: {sync: 3, running_stats: [cumulative, "ema:1e-3", ema], momentum: 0.3, eps: 1.0e-3}
data: {dataset: idx, path: "/data/x y", validation: 0.1, drop_last: true, mean: [0.1, 0.2], std: [0.3, 1e-7], threads: 3, on_corrupt: skip, augment: {pad_crop: 2, flip: true, crop_scale: [0.1, 0.9], crop_ratio: [1, 2], brightness: 0.1, contrast: 0.2, saturation: 0.3, hue: 0.4}, image: {height: 5, width: 6, channels: 1, crop: 0.5}, synthetic: {samples: 1, test_samples: 2, height: 3, width: 4, channels: 5, classes: 6}}
optimizer: {name: adamw, lr: 0.30000000000000004, momentum: 0.8, nesterov: false, weight_decay: 1e-300, clip_norm: 2.5, rules: [{match: "*.bias", weight_decay: 0.0}, {match: "fc*", lr_scale: 3}], decay_all: true, beta1: 0.1, beta2: 0.2, eps: 0.001}
schedule: {steps: 77, warmup_epochs: 0.3333333333333333, decay: linear, step_epochs: 2.5, step_factor: 0.7}
loss: {label_smoothing: 0.05}
evaluation: {every_steps: 11, batch: 99, metric: accuracy}
comm: {backend: mpi, bucket_mib: 0.125, overlap: on, timeout_s: 1.5, check_every: 13}
threads: 2
device: gpu
precision: bf16
checkpoint: {every_steps: 12, keep: 9, best: true}
plan: {fuse: false, recompute: false, memory_mib: 123}
train: {log_every: 1, digest_every: 2, stop_at_step: 3, max_time: 2h, weight_ema: 0.99, early_stopping: {patience: 4, min_delta: 0.01}}
)";

TEST(ConfigPrint, TheEffectiveYamlReadsBackToTheSame) {
  for (const char* yaml : {"", everything, "schedule: {steps: 3}", "run_dir: 'true'", "run_dir: '~'",
                           "run_dir: '12'", "run_dir: 'on'", "run_dir: '- a'", "run_dir: 'a:'"}) {
    const Config config = parse(yaml);
    const std::string printed = to_yaml(config);
    const Config again = parse(printed);
    EXPECT_EQ(to_yaml(again), printed);
    EXPECT_EQ(again.run_dir, config.run_dir);
    EXPECT_EQ(again.optimizer.lr, config.optimizer.lr);
    EXPECT_EQ(result_json(again), result_json(config));
  }
}

TEST(ConfigPrint, TheEffectiveYamlHasEveryKeyThatIsSet) {
  const std::string printed = to_yaml(parse("data: {path: /data}"));
  EXPECT_THAT(printed, HasSubstr("optimizer:\n  name: sgd\n  lr: 0.1\n"));
  EXPECT_THAT(printed, HasSubstr("  path: /data\n"));
  EXPECT_THAT(printed, HasSubstr("  image: {height: 224, width: 224, channels: 3, crop: 0.875}\n"));
  EXPECT_THAT(printed, Not(HasSubstr("steps:")));
  const nlohmann::json before = nlohmann::json::parse(result_json(Config{}));
  const nlohmann::json after = nlohmann::json::parse(result_json(parse(everything)));
  for (const auto& [key, value] : before.items()) {
    EXPECT_NE(value, after[key]) << key << " is not read, or not printed";
  }
}

TEST(ConfigPrint, TheResultHasSortedKeysAndIsStable) {
  EXPECT_EQ(
      result_json(Config{}),
      R"({"batch":{"global":256,"shards":8},)"
      R"("data":{"augment":{"brightness":0.0,"contrast":0.0,"crop_ratio":[0.75,1.3333333333333333],"crop_scale":[],)"
      R"("flip":false,"hue":0.0,"pad_crop":0,"saturation":0.0},"dataset":"fashion_mnist","drop_last":false,)"
      R"("image":{"channels":3,"crop":0.875,"height":224,"width":224},"mean":[],"on_corrupt":"fail","std":[],)"
      R"("synthetic":{"channels":1,"classes":10,"height":28,"samples":10000,)"
      R"("test_samples":1000,"width":28},"validation":0.0},)"
      R"("evaluation":{"batch":256},"loss":{"label_smoothing":0.0},)"
      R"("model":{"dropout":0.0,"hidden":[256,128],"name":"cnn"},)"
      R"("normalization":{"eps":1e-05,"freeze_after_epochs":0,"momentum":0.1,"precise_batches":32,)"
      R"("running_stats":["ema"],"sync":"global"},)"
      R"("optimizer":{"beta1":0.9,"beta2":0.999,"clip_norm":0.0,"decay_all":false,"eps":1e-08,"lr":0.1,"momentum":0.9,)"
      R"("name":"sgd","nesterov":true,"rules":[],"weight_decay":0.0005},"precision":"fp32",)"
      R"("schedule":{"decay":"cosine","epochs":5,"step_epochs":30.0,"step_factor":0.1,"warmup_epochs":0.0},)"
      R"("seed":1,"train":{"weight_ema":0.0}})");
}

TEST(ConfigPrint, TheResultDoesNotKnowWhatChangesNoBit) {
  const Config other = parse("", {"run_dir=x", "data.path=/y",
                                  "comm={backend: threads, bucket_mib: 1, timeout_s: 3, check_every: 7}",
                                  "threads=4", "plan={fuse: false, recompute: false, memory_mib: 9}",
                                  "checkpoint={every_steps: 3, keep: 1}", "evaluation.every_steps=5",
                                  "train={log_every: 1, digest_every: 1, stop_at_step: 1, max_time: 9}"});
  EXPECT_EQ(result_json(other), result_json(Config{}));
}

TEST(ConfigPrint, TheResultKnowsWhenEvaluationsAreWhereTheyMayEndTheRun) {
  const auto result = [](const std::string& more) {
    return result_json(parse("data: {validation: 0.1}\ntrain: {early_stopping: {min_delta: 0.5" + more + "}}",
                             {"evaluation.every_steps=7"}));
  };
  EXPECT_THAT(result(""), testing::Not(HasSubstr("early_stopping")));
  EXPECT_THAT(
      result(", patience: 3"),
      testing::AllOf(
          HasSubstr(R"("evaluation":{"batch":256,"every_steps":7,"metric":"loss"})"),
          HasSubstr(R"("train":{"early_stopping":{"min_delta":0.5,"patience":3},"weight_ema":0.0})")));
  EXPECT_EQ(result_json(from_result_json(result(", patience: 3"))), result(", patience: 3"));
}

// Whatever was trained before there were GPUs was trained on a processor.
TEST(ConfigPrint, TheResultKnowsOfGpusAlone) {
  EXPECT_EQ(result_json(parse("device: cpu")), result_json(Config{}));
  const std::string on_gpu = result_json(parse("device: gpu\nprecision: tf32"));
  EXPECT_THAT(on_gpu, testing::AllOf(HasSubstr(R"("device":"gpu")"), HasSubstr(R"("precision":"tf32")")));
  EXPECT_EQ(result_json(from_result_json(on_gpu)), on_gpu);
  EXPECT_THAT(differences(result_json(Config{}), result_json(parse("device: gpu"))),
              testing::ElementsAre(HasSubstr("device: not set, now gpu")));
}

TEST(ConfigPrint, AWrittenNumberDoesNotDependOnHowItWasTyped) {
  EXPECT_EQ(result_json(parse("optimizer: {lr: 1e-1, weight_decay: -0.0}")),
            result_json(parse("optimizer: {lr: 0.10, weight_decay: 0}")));
  EXPECT_EQ(result_json(parse("model: {layers: [relu]}")),
            result_json(parse("model: {layers: [{relu: {}, name: relu1}]}")));
}

TEST(ConfigPrint, TheResultReadsBack) {
  const Config config = from_result_json(result_json(parse(everything)));
  EXPECT_EQ(result_json(config), result_json(parse(everything)));
  EXPECT_EQ(config.run_dir, Config{}.run_dir);
  EXPECT_EQ(config.schedule.epochs, std::nullopt);
  EXPECT_EQ(config.normalization.running_stats[1].momentum, 1e-3);
  EXPECT_EQ(config.model.layers.size(), 5u);
}

TEST(ConfigPrint, ADamagedResultIsADataError) {
  EXPECT_THROW(from_result_json("{\"seed\":"), DataError);
  EXPECT_THROW(from_result_json("{\"seed\":-3}"), DataError);
  EXPECT_THROW(from_result_json("{\"sede\":3}"), DataError);
}

TEST(ConfigDifferences, NameTheKeysAndBothValues) {
  const auto between = [](const std::string& before, const std::string& after) {
    return differences(result_json(parse(before)), result_json(parse(after)));
  };
  EXPECT_THAT(between("", "threads: 2\nrun_dir: b"), IsEmpty());
  EXPECT_THAT(between("", "optimizer: {lr: 0.2}\nseed: 4"),
              ElementsAre("optimizer.lr: 0.1, now 0.2", "seed: 1, now 4"));
  EXPECT_THAT(between("", "schedule: {steps: 9}"),
              ElementsAre("schedule.epochs: 5, now not set", "schedule.steps: not set, now 9"));
  EXPECT_THAT(between("", "normalization: {running_stats: [ema, cumulative]}"),
              ElementsAre("normalization.running_stats: [ema], now [ema, cumulative]"));
  EXPECT_THAT(
      between("model: {layers: [relu, {conv2d: {out: 3}}]}", "model: {layers: [relu, {conv2d: {out: 4}}]}"),
      ElementsAre("model.layers[1].conv2d.out: 3, now 4"));
  EXPECT_THAT(
      between("model: {layers: [relu]}", "model: {layers: [flatten]}"),
      ElementsAre("model.layers[0].flatten: not set, now {}", "model.layers[0].name: relu1, now flatten1",
                  "model.layers[0].relu: {}, now not set"));
}

TEST(ConfigDifferences, AKeyThatAnOlderVersionDidNotWriteHasItsDefault) {
  EXPECT_THAT(differences(R"({"seed":1})", result_json(Config{})), IsEmpty());
}

}  // namespace
}  // namespace lockstep
