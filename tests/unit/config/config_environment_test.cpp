#include <gmock/gmock.h>

#include <cstdlib>

#include "config_support.h"
#include "trainer/config/environment.h"

namespace lockstep {
namespace {

using testing::HasSubstr;

class ConfigEnvironment : public testing::Test {
 protected:
  void SetUp() override {
    ::setenv("LOCKSTEP_TEST_DIR", "/my data", 1);
    ::setenv("LOCKSTEP_TEST_EMPTY", "", 1);
    ::unsetenv("LOCKSTEP_TEST_NONE");
  }
};

std::string expanded(const std::string& text) {
  const Expansion expansion = expand_variables(text);
  EXPECT_EQ(expansion.wrong, "") << text;
  return expansion.text;
}

TEST_F(ConfigEnvironment, VariablesArePutIn) {
  EXPECT_EQ(expanded("${LOCKSTEP_TEST_DIR}/runs"), "/my data/runs");
  EXPECT_EQ(expanded("a${LOCKSTEP_TEST_DIR}${LOCKSTEP_TEST_DIR}b"), "a/my data/my datab");
  EXPECT_EQ(expanded("a${LOCKSTEP_TEST_EMPTY}b"), "ab");
  EXPECT_EQ(expanded("runs/$a$$b$"), "runs/$a$$b$");
  EXPECT_EQ(expanded("a$${HOME}"), "a${HOME}");
  EXPECT_EQ(expanded(""), "");
}

TEST_F(ConfigEnvironment, ADefaultStandsInForWhatIsNotSetOrEmpty) {
  EXPECT_EQ(expanded("${LOCKSTEP_TEST_NONE:-/tmp}/a"), "/tmp/a");
  EXPECT_EQ(expanded("${LOCKSTEP_TEST_EMPTY:-/tmp}/a"), "/tmp/a");
  EXPECT_EQ(expanded("${LOCKSTEP_TEST_DIR:-/tmp}/a"), "/my data/a");
  EXPECT_EQ(expanded("a${LOCKSTEP_TEST_NONE:-}b"), "ab");
  EXPECT_EQ(expanded("${LOCKSTEP_TEST_NONE:-a:-b}"), "a:-b");
}

TEST_F(ConfigEnvironment, WhatIsWrongIsToldWithItsPlace) {
  EXPECT_EQ(
      mistakes("data:\n  path: ${LOCKSTEP_TEST_NONE}/a\n"),
      "a.yaml:2:9: data.path: the environment has no LOCKSTEP_TEST_NONE; set it, or write a default, as in "
      "${LOCKSTEP_TEST_NONE:-folder}");
  EXPECT_EQ(mistakes("", {"train.init_from=${LOCKSTEP_TEST_NONE}"}),
            "--set train.init_from=${LOCKSTEP_TEST_NONE}: the environment has no LOCKSTEP_TEST_NONE; set it, "
            "or write a "
            "default, as in ${LOCKSTEP_TEST_NONE:-folder}");
  EXPECT_EQ(mistakes("run_dir: ${LOCKSTEP_TEST_DIR"),
            "a.yaml:1:10: run_dir: '${' has no '}' behind it; $${ stands for ${ itself");
  for (const char* name : {"${}", "${1A}", "${A B}", "${A-b}", "${:-a}"}) {
    EXPECT_THAT(mistakes(std::string("run_dir: ") + name),
                HasSubstr("is no name of a variable; expected ${NAME}"));
  }
  EXPECT_EQ(mistakes("run_dir: ${LOCKSTEP_TEST_EMPTY}"),
            "a.yaml:1:10: run_dir: with its variables put in, it is ''; expected text, not empty");
  ::setenv("LOCKSTEP_TEST_DIR", "\xff", 1);
  EXPECT_EQ(mistakes("run_dir: ${LOCKSTEP_TEST_DIR}"),
            "a.yaml:1:10: run_dir: with its variables put in, it is text that is not UTF-8; expected text, "
            "not empty");
}

TEST_F(ConfigEnvironment, IsOfPathsAlone) {
  EXPECT_THAT(mistakes("model: {name: '${LOCKSTEP_TEST_DIR}'}"), HasSubstr("expected one of mlp, cnn"));
}

TEST_F(ConfigEnvironment, TheEffectiveYamlHasThePathItself) {
  const Config config = parse("run_dir: ${LOCKSTEP_TEST_DIR}/a");
  EXPECT_THAT(to_yaml(config), HasSubstr("run_dir: \"/my data/a\"\n"));
  ::setenv("LOCKSTEP_TEST_DIR", "/elsewhere", 1);
  EXPECT_EQ(parse(to_yaml(config)).run_dir, "/my data/a");
}

TEST_F(ConfigEnvironment, AValueThatLooksLikeAVariableStaysWhatItIs) {
  for (const char* value : {"${LOCKSTEP_TEST_NONE}", "$${", "$$${a}", "${"}) {
    ::setenv("LOCKSTEP_TEST_DIR", value, 1);
    const Config config = parse("run_dir: ${LOCKSTEP_TEST_DIR}/a");
    EXPECT_EQ(config.run_dir, std::string(value) + "/a");
    EXPECT_EQ(parse(to_yaml(config)).run_dir, config.run_dir);
  }
}

}  // namespace
}  // namespace lockstep
