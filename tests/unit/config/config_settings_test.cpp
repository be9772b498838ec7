#include <gmock/gmock.h>

#include "config_support.h"

namespace lockstep {
namespace {

using testing::HasSubstr;

TEST(ConfigSettings, WinOverTheFileAndTheLastOneWins) {
  EXPECT_EQ(parse("threads: 2").threads, 2);
  EXPECT_EQ(parse("threads: 2", {"threads=3"}).threads, 3);
  EXPECT_EQ(parse("threads: 2", {"threads=3", "threads=4"}).threads, 4);
}

TEST(ConfigSettings, HoldAnyYamlValue) {
  const Config config =
      parse("", {"normalization.running_stats=[ema,cumulative]", "data.augment={pad_crop: 2, flip: true}",
                 "data.path=/a=b", "model.layers=[flatten, {linear: {out: 10}}]"});
  EXPECT_EQ(config.normalization.running_stats.size(), 2u);
  EXPECT_EQ(config.data.augment.pad_crop, 2);
  EXPECT_TRUE(config.data.augment.flip);
  EXPECT_EQ(config.data.path, "/a=b");
  EXPECT_EQ(config.model.layers.size(), 2u);
}

TEST(ConfigSettings, AnEmptyValueIsAnEmptyText) {
  EXPECT_EQ(parse("data: {path: /somewhere}", {"data.path="}).data.path, "");
  EXPECT_EQ(mistakes("", {"run_dir="}), "--set run_dir=: expected text, not empty; found ''");
}

TEST(ConfigSettings, MistakesNameTheSetting) {
  EXPECT_EQ(mistakes("", {"batch.globl=3"}),
            "--set batch.globl=3: unknown key 'batch.globl'; did you mean 'batch.global'?");
  EXPECT_EQ(mistakes("", {"batch.global"}), "--set batch.global: expected key=value, as in batch.global=512");
  EXPECT_EQ(mistakes("", {"seed=~"}), "--set seed=~: has no value; leave the key out for its default");
  EXPECT_EQ(mistakes("", {"=3"}), "--set =3: expected key=value, as in batch.global=512");
  EXPECT_EQ(mistakes("", {"batch=3"}), "--set batch=3: expected a map of its keys; found '3'");
  EXPECT_EQ(mistakes("", {"data.augment={flip: 1}"}),
            "--set data.augment={flip: 1}: data.augment.flip: expected true or false; found '1'");
  EXPECT_THAT(mistakes("", {"seed=["}), HasSubstr("--set seed=[: not valid YAML: "));
  EXPECT_EQ(mistakes("", {"normalization.sync=16"}),
            "--set normalization.sync=16: 16 shards are more than the 8 of batch.shards");
  EXPECT_EQ(mistakes("normalization: {sync: 4}", {"batch.shards=2"}),
            "a.yaml:1:17: normalization.sync: 4 shards are more than the 2 of batch.shards");
}

TEST(ConfigSettings, OnTopOfAConfiguration) {
  const Config before = parse("batch: {global: 64}\nschedule: {steps: 9}");
  const Settings settings{"data.path=/elsewhere", "schedule.epochs=2"};
  const Config after = with_settings(before, settings);
  EXPECT_EQ(after.batch.global, 64);
  EXPECT_EQ(after.data.path, "/elsewhere");
  EXPECT_EQ(after.schedule.epochs, 2);
  EXPECT_EQ(after.schedule.steps, std::nullopt);
}

TEST(ConfigExclusive, BothInAFileIsAnError) {
  EXPECT_EQ(
      mistakes("schedule:\n  epochs: 2\n  steps: 9\n"),
      "a.yaml:3:3: schedule.steps: excludes 'schedule.epochs', which is given in line 2; keep one of the "
      "two");
  EXPECT_THAT(mistakes("evaluation: {every_steps: 2, every_epochs: 9}"),
              HasSubstr("a.yaml:1:30: evaluation.every_epochs: excludes 'evaluation.every_steps'"));
  EXPECT_THAT(mistakes("checkpoint: {every_steps: 2, every_epochs: 9}"), HasSubstr("keep one of the two"));
  EXPECT_THAT(mistakes("model: {name: cnn, layers: [flatten]}"),
              HasSubstr("a.yaml:1:20: model.layers: excludes 'model.name'"));
  EXPECT_THAT(mistakes("", {"schedule={epochs: 1, steps: 2}"}), HasSubstr("excludes 'schedule.epochs'"))
      << "one setting is like one file";
}

TEST(ConfigExclusive, EitherClearsTheDefaultOfTheOther) {
  const Config steps =
      parse("schedule: {steps: 9}\nevaluation: {every_steps: 3}\ncheckpoint: {every_steps: 4}");
  EXPECT_EQ(steps.schedule.epochs, std::nullopt);
  EXPECT_EQ(steps.schedule.steps, 9);
  EXPECT_EQ(steps.evaluation.every_epochs, std::nullopt);
  EXPECT_EQ(steps.evaluation.every_steps, 3);
  EXPECT_EQ(steps.checkpoint.every_epochs, std::nullopt);
  EXPECT_EQ(steps.checkpoint.every_steps, 4);
  EXPECT_EQ(parse("model: {layers: [flatten]}").model.name, "");
}

TEST(ConfigExclusive, ASettingClearsTheOther) {
  const Config steps = parse("schedule: {epochs: 7}", {"schedule.steps=9"});
  EXPECT_EQ(steps.schedule.epochs, std::nullopt);
  EXPECT_EQ(steps.schedule.steps, 9);
  const Config epochs = parse("schedule: {steps: 9}", {"schedule.steps=10", "schedule.epochs=3"});
  EXPECT_EQ(epochs.schedule.epochs, 3);
  EXPECT_EQ(epochs.schedule.steps, std::nullopt);
  const Config named = parse("model: {layers: [flatten]}", {"model.name=mlp"});
  EXPECT_TRUE(named.model.layers.empty());
  EXPECT_EQ(named.model.name, "mlp");
}

}  // namespace
}  // namespace lockstep
