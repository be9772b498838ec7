#include "trainer/loop/subject.h"

#include <gmock/gmock.h>

#include <fstream>

#include "comm/base/error.h"
#include "tests/unit/checkpoint/temporary_folder.h"
#include "trainer/config/config.h"

namespace lockstep {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr const char* network =
    "model: {name: mlp, hidden: [3]}\n"
    "data: {dataset: synthetic, mean: [0.5], std: [0.25], "
    "synthetic: {samples: 20, test_samples: 5, height: 2, width: 2, classes: 4}}\n";

// A file with the tensors of the network above, and nothing that tells so.
class OpenSubject : public testing::Test {
 protected:
  void SetUp() override {
    std::ofstream(folder_ / "network.yaml") << network;
    Model model(model_options(parse_config(network, "network.yaml", {}), {{2, 2, 1}, 4}), 1, 0);
    std::ranges::fill(model.arena(), 5.0F);
    save_tensors(folder_ / "theirs", model.state(), {{"format", "pt"}});
  }
  Subject open(const std::vector<std::string>& settings) const {
    return open_subject(folder_ / "theirs", (folder_ / "network.yaml").string(), settings);
  }

  TemporaryFolder folder_;
};

TEST_F(OpenSubject, TakesAFileOfAnotherProgramForWhatTheConfigurationSays) {
  Subject subject = open({});
  EXPECT_EQ(subject.trained.model.arena()[0], 5);
  EXPECT_EQ(subject.trained.facts.input.classes, 4);
  EXPECT_EQ(subject.trained.facts.normalization.mean, std::vector<double>{0.5});
  EXPECT_EQ(subject.data.test->size(), 5);
}

TEST_F(OpenSubject, SettingsComeOnTop) {
  EXPECT_EQ(open({"data.synthetic.test_samples=7"}).data.test->size(), 7);
}

TEST_F(OpenSubject, WhatDoesNotFitIsToldWithWhatTheFileWasTakenFor) {
  try {
    open({"model.hidden=[6]"});
    FAIL();
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("fc1.weight is [3, 4] in the file, [6, 4] in the model"),
                                    HasSubstr("taken for mlp, for images of 2x2x1 in 4 classes")));
  }
}

TEST_F(OpenSubject, AFileThatTellsWhatItIsTakesNoOtherWord) {
  const Config config = parse_config(network, "network.yaml", {});
  Facts facts;
  facts.input = {{2, 2, 1}, 4};
  facts.normalization = {{0.5}, {0.25}};
  facts.class_names = {"a", "b", "c", "d"};
  Model model(model_options(config, facts.input), 1, 0);
  save_tensors(folder_ / "ours", model.state(), describe(config, facts));
  EXPECT_EQ(open_subject(folder_ / "ours", std::nullopt, {}).data.test->size(), 5);
  EXPECT_THROW(open_subject(folder_ / "ours", "network.yaml", {}), UsageError);
  EXPECT_THROW(open_subject(folder_ / "ours", std::nullopt, std::vector<std::string>{"model.name=cnn"}),
               UsageError);
}

}  // namespace
}  // namespace lockstep
