#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "config_support.h"

namespace lockstep {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

TEST(ConfigMistakes, AllAreToldAtOnceFileFirstByPositionThenSettings) {
  const std::string yaml =
      "optimizer:\n"
      "  learning_rate: 0.1\n"
      "  momentum: 2\n"
      "threads: none\n"
      "batch: {global: 0, size: 8}\n";
  EXPECT_EQ(mistakes(yaml, {"data.drop_last=maybe", "batch.global=abc", "seed=7"}),
            "a.yaml:2:3: unknown key 'optimizer.learning_rate'; did you mean 'optimizer.lr'?\n"
            "a.yaml:3:13: optimizer.momentum: expected a number, 0 to below 1; found '2'\n"
            "a.yaml:4:10: threads: expected a whole number, 1 to 1024; found 'none'\n"
            "a.yaml:5:17: batch.global: expected a whole number, 1 to 1000000; found '0'\n"
            "a.yaml:5:20: unknown key 'batch.size'; did you mean 'batch.global'?\n"
            "--set data.drop_last=maybe: expected true or false; found 'maybe'\n"
            "--set batch.global=abc: expected a whole number, 1 to 1000000; found 'abc'");
}

struct Unknown {
  const char* yaml;
  const char* meant;
};
class ConfigUnknownKey : public testing::TestWithParam<Unknown> {};

TEST_P(ConfigUnknownKey, IsRejectedWithTheNearestValidOne) {
  const std::string told = mistakes(GetParam().yaml);
  EXPECT_THAT(told, HasSubstr(": unknown key '"));
  EXPECT_THAT(told, HasSubstr(std::string("did you mean '") + GetParam().meant + "'?"));
}

INSTANTIATE_TEST_SUITE_P(Keys, ConfigUnknownKey,
                         testing::Values(Unknown{"lr: 0.1", "optimizer.lr"},
                                         Unknown{"optimiser: {lr: 0.1}", "optimizer"},
                                         Unknown{"batch: {globl: 1}", "batch.global"},
                                         Unknown{"batch: {shard: 1}", "batch.shards"},
                                         Unknown{"batch_size: 1", "batch.global"},
                                         Unknown{"schedule: {max_epochs: 1}", "schedule.epochs"},
                                         Unknown{"data: {augment: {filp: true}}", "data.augment.flip"},
                                         Unknown{"data: {augmentation: {}}", "data.augment"},
                                         Unknown{"data: {flip: true}", "data.augment.flip"},
                                         Unknown{"evaluation: {every: 3}", "evaluation.every_epochs"},
                                         Unknown{"Seed: 3", "seed"}));

TEST(ConfigMistakes, ADuplicateKeyIsNotTakenSilently) {
  EXPECT_EQ(mistakes("seed: 1\nbatch: {shards: 2}\nseed: 2\n"),
            "a.yaml:3:1: duplicate key 'seed'; the first is in line 1");
  EXPECT_EQ(mistakes("batch:\n  shards: 2\n  shards: 2\n"),
            "a.yaml:3:3: duplicate key 'batch.shards'; the first is in line 2");
  EXPECT_EQ(mistakes("batch: {shards: 2}\nbatch: {global: 16}\n"),
            "a.yaml:2:1: duplicate key 'batch'; the first is in line 1");
}

TEST(ConfigMistakes, SyntaxErrorsHaveTheirPlace) {
  EXPECT_THAT(mistakes("seed: 1\nbatch: {global: 3\n"),
              AllOf(StartsWith("a.yaml:"), HasSubstr("not valid YAML")));
  EXPECT_THAT(mistakes("seed: 1\n\tthreads: 2\n"), StartsWith("a.yaml:2:1: not valid YAML: "));
  EXPECT_THAT(mistakes("seed: *nobody\n"), HasSubstr("not valid YAML"));
  EXPECT_THAT(mistakes("seed: [1\n", {"threads=0"}), HasSubstr("--set threads=0: expected"))
      << "settings are still checked";
}

TEST(ConfigMistakes, TheRootAndGroupsAreMaps) {
  EXPECT_EQ(mistakes("- seed\n"), "a.yaml:1:1: expected keys with values, as in 'seed: 1'; found a list");
  EXPECT_EQ(mistakes("seed\n"), "a.yaml:1:1: expected keys with values, as in 'seed: 1'; found 'seed'");
  EXPECT_EQ(mistakes("batch: 3\n"), "a.yaml:1:8: batch: expected a map of its keys; found '3'");
  EXPECT_EQ(mistakes("data: {augment: [flip]}\n"),
            "a.yaml:1:17: data.augment: expected a map of its keys; found a list");
  EXPECT_EQ(mistakes("[seed]: 3\n"), "a.yaml:1:1: expected a word as key; found a list");
}

TEST(ConfigMistakes, ASecondDocumentIsNotIgnored) {
  EXPECT_EQ(mistakes("seed: 1\n---\nseed: 2\n"),
            "a.yaml:2:1: the document has ended, and more follows; one document is read");
  EXPECT_EQ(mistakes("seed: 1\n---\nseed: [\n").find("a.yaml:4:1: not valid YAML"), 0u);
}

TEST(ConfigMistakes, HostileFilesAreRefusedAndDoNotCrash) {
  EXPECT_THAT(mistakes(std::string(100'000, '[')), HasSubstr("not valid YAML"));
  EXPECT_THAT(mistakes("model: {layers: " + std::string(100'000, '{') + "}"), HasSubstr("not valid YAML"));
  EXPECT_THAT(mistakes(", seed: 1"), HasSubstr("a.yaml:1:1: the document has ended, and more follows"));
  EXPECT_THAT(mistakes(std::string((1 << 20) + 1, ' ')), HasSubstr("larger than 1024 KiB"));
  EXPECT_THAT(mistakes(std::string("a\0b: 1", 6)), HasSubstr("a.yaml:1:1"));
  EXPECT_THAT(mistakes(std::string(1000, 'k') + ": 1"), HasSubstr("kkk...'; did you mean"));
}

TEST(ConfigMistakes, AnEndlessListOfThemIsCut) {
  std::string yaml;
  for (int i = 0; i < 60; ++i) yaml += "key" + std::to_string(i) + ": 1\n";
  const std::string told = mistakes(yaml);
  EXPECT_THAT(told, HasSubstr("a.yaml:50:1: "));
  EXPECT_THAT(told, testing::EndsWith("\n... and 10 more mistakes"));
}

TEST(ConfigMistakes, AFileThatCannotBeReadIsNamed) {
  const auto told = [](const std::filesystem::path& file) -> std::string {
    try {
      load_config(file, {});
      return "";
    } catch (const UsageError& error) {
      return error.what();
    }
  };
  EXPECT_THAT(told("/nowhere/a.yaml"), StartsWith("/nowhere/a.yaml: cannot be read: No such file"));
  EXPECT_THAT(told(std::filesystem::temp_directory_path()), HasSubstr("cannot be read: Is a directory"));
}

TEST(ConfigMistakes, AFileIsReadUnderItsOwnName) {
  const auto file = std::filesystem::path(testing::TempDir()) / "lockstep_config_test.yaml";
  std::ofstream(file) << "seed: 5\nbatch: {global: x}\n";
  try {
    load_config(file, {});
    FAIL() << "a mistake went unnoticed";
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(), StartsWith(file.string() + ":2:17: batch.global: "));
  }
  const Settings settings{"batch.global=32"};
  EXPECT_THROW(load_config(file, settings), UsageError) << "a setting does not excuse the file";
  std::ofstream(file) << "seed: 5\n";
  EXPECT_EQ(load_config(file, settings).batch.global, 32);
  std::filesystem::remove(file);
}

}  // namespace
}  // namespace lockstep
