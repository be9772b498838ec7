#include "trainer/cli/arguments.h"

#include <gmock/gmock.h>

#include "cli_support.h"

namespace lockstep {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

const Usage usage{.command = "mend",
                  .synopsis = "FILE [MORE] [--set key=value]... [--count N] [--fast | --slow]",
                  .purpose = "Mends a file.",
                  .example = "  lockstep mend a.txt --fast",
                  .options = {set_option(),
                              {.name = "count", .value = "N", .meaning = "how often"},
                              {.name = "fast", .value = "", .meaning = "hurry"},
                              {.name = "slow", .value = "", .meaning = "take care"}},
                  .operands = {"FILE", "MORE"},
                  .required_operands = 1};

Arguments given(const std::vector<std::string>& arguments) {
  return parse_arguments(usage, arguments).value();
}

std::string refusal(const std::vector<std::string>& arguments) {
  return refusal_of([&] { given(arguments); });
}

TEST(CliArguments, OptionsAndOperandsMix) {
  const Arguments all = given({"a", "--fast", "--set", "x=1", "--count=3", "b", "--set=y=[1, 2]"});
  EXPECT_THAT(all.operands(), ElementsAre("a", "b"));
  EXPECT_TRUE(all.has("fast"));
  EXPECT_FALSE(all.has("slow"));
  EXPECT_THAT(all.values("set"), ElementsAre("x=1", "y=[1, 2]"));
  EXPECT_EQ(all.value("count"), "3");
  EXPECT_EQ(all.integer("count", 1, 1, 9), 3);
}

TEST(CliArguments, WhatIsNotGivenIsEmptyOrItsDefault) {
  const Arguments none = given({"a"});
  EXPECT_EQ(none.value("count"), std::nullopt);
  EXPECT_THAT(none.values("set"), IsEmpty());
  EXPECT_EQ(none.integer("count", 7, 1, 9), 7);
}

TEST(CliArguments, BehindTwoDashesAllAreOperands) {
  EXPECT_THAT(given({"--", "--fast", "-x"}).operands(), ElementsAre("--fast", "-x"));
  EXPECT_THAT(given({"-"}).operands(), ElementsAre("-"));
}

TEST(CliArguments, UnknownOptionsNameTheNearestAllAtOnce) {
  EXPECT_EQ(refusal({"a", "--fats", "--cuont=3"}),
            "lockstep mend: unknown option '--fats'; did you mean '--fast'?\n"
            "unknown option '--cuont=3'; did you mean '--count'?\n"
            "lockstep mend --help shows how it is used");
  EXPECT_THAT(refusal({"a", "--fas"}), HasSubstr("unknown option '--fas'")) << "no guessing from a prefix";
  EXPECT_THAT(refusal({"a", "-x"}), HasSubstr("unknown option '-x'"));
}

TEST(CliArguments, ValuesAreNeitherMissingNorTooMany) {
  EXPECT_THAT(refusal({"a", "--count"}), HasSubstr("'--count'"));
  EXPECT_THAT(refusal({"a", "--count", "--fast"}), HasSubstr("--count needs a value"));
  EXPECT_THAT(refusal({"a", "--count="}), HasSubstr("'--count'"));
  EXPECT_THAT(refusal({"a", "--fast=yes"}), HasSubstr("--fast"));
  EXPECT_THAT(refusal({"a", "--count=1", "--count=2"}), HasSubstr("--count is given twice"));
}

TEST(CliArguments, OperandsAreNeitherMissingNorTooMany) {
  EXPECT_THAT(refusal({}), StartsWith("lockstep mend: FILE is missing\n"));
  EXPECT_THAT(refusal({"a", "b", "c"}), StartsWith("lockstep mend: 'c' is one argument too many\n"));
  Usage many = usage;
  many.many_operands = true;
  EXPECT_EQ(parse_arguments(many, {"a", "b", "c"})->operands().size(), 3u);
}

TEST(CliArguments, NumbersAreWholeAndInRange) {
  for (const char* bad : {"0", "10", "x", "2x", "-1", "1e1", "99999999999999999999"}) {
    const Arguments arguments = given({"a", std::string("--count=") + bad});
    EXPECT_THAT(refusal_of([&] { arguments.integer("count", 1, 1, 9); }),
                HasSubstr("lockstep mend: --count: expected a whole number, 1 to 9; found '" +
                          std::string(bad) + "'"));
  }
}

TEST(CliArguments, OptionsExcludeEachOtherOrStandAlone) {
  EXPECT_THAT(refusal_of([] {
                require_exclusive(usage, given({"a", "--fast", "--slow"}), "fast", "slow");
              }),
              HasSubstr("--fast and --slow exclude each other"));
  EXPECT_EQ(refusal_of([] { require_exclusive(usage, given({"a", "--slow"}), "fast", "slow"); }), "");
  EXPECT_THAT(refusal_of([] {
                require_alone(usage, given({"a", "--fast"}), "fast");
              }),
              HasSubstr("--fast stands alone"));
}

TEST(CliArguments, HelpShowsEverythingAndAsksForNothing) {
  std::optional<Arguments> parsed;
  const std::string text = output_of([&] { parsed = parse_arguments(usage, {"--help"}); });
  EXPECT_FALSE(parsed.has_value());
  EXPECT_EQ(text,
            "usage: lockstep mend FILE [MORE] [--set key=value]... [--count N] [--fast | --slow]\n"
            "\n"
            "Mends a file.\n"
            "\n"
            "  --set key=value  change a key of the configuration, as in batch.global=512; may be repeated\n"
            "  --count N        how often\n"
            "  --fast           hurry\n"
            "  --slow           take care\n"
            "  --help           show this text\n"
            "\n"
            "example:\n"
            "  lockstep mend a.txt --fast\n");
}

TEST(CliArguments, OnlyRankZeroShowsHelp) {
  const auto help = [] { parse_arguments(usage, {"--help"}); };
  {
    const UnderLauncher first(0, 2);
    EXPECT_THAT(output_of(help), StartsWith("usage: "));
  }
  const UnderLauncher second(1, 2);
  EXPECT_EQ(output_of(help), "");
}

TEST(CliArguments, OneWorkerIsRequiredOnlyOfALauncherOfMany) {
  EXPECT_NO_THROW(require_one_worker("mend"));
  {
    const UnderLauncher alone(0, 1);
    EXPECT_NO_THROW(require_one_worker("mend"));
  }
  const UnderLauncher many(0, 3);
  EXPECT_EQ(refusal_of([] { require_one_worker("mend"); }),
            "lockstep mend runs on one worker and was started on 3; run it without the launcher");
}

}  // namespace
}  // namespace lockstep
