#include "trainer/cli/dispatch.h"

#include <gmock/gmock.h>

#include <cerrno>
#include <new>
#include <stdexcept>
#include <system_error>

#include "cli_support.h"

namespace lockstep {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

int answer_operands(const std::vector<std::string>& arguments) {
  return 40 + static_cast<int>(arguments.size());
}
int lack_data(const std::vector<std::string>&) {
  throw DataError("no data");
}
int lose_a_peer(const std::vector<std::string>&) {
  throw CommError("rank 3 is gone");
}
int part_from_peers(const std::vector<std::string>&) {
  throw Error(ExitCode::peer, "the states differ");
}
int trip(const std::vector<std::string>&) {
  throw std::logic_error("index 7");
}
int starve(const std::vector<std::string>&) {
  throw std::bad_alloc();
}

int lack_threads(const std::vector<std::string>&) {
  throw std::system_error(EAGAIN, std::generic_category());
}

const CommandTable table{.version = "9.8.7",
                         .commands = {{"answer", "count what follows", answer_operands},
                                      {"data", "want data", lack_data},
                                      {"peer", "lose one", lose_a_peer},
                                      {"part", "from them", part_from_peers},
                                      {"trip", "over a bug", trip},
                                      {"spread", "out over threads", lack_threads},
                                      {"starve", "of memory", starve}}};

int run(const std::vector<std::string>& arguments) {
  return dispatch(table, arguments);
}

TEST(CliDispatch, ACommandGetsWhatFollowsItsNameAndGivesTheExitCode) {
  EXPECT_EQ(run({"answer"}), 40);
  EXPECT_EQ(run({"answer", "--help", "x"}), 42);
}

TEST(CliDispatch, HelpListsTheCommands) {
  int code = -1;
  const std::string text = output_of([&] { code = run({"--help"}); });
  EXPECT_EQ(code, 0);
  EXPECT_THAT(text, StartsWith("usage: lockstep COMMAND"));
  EXPECT_THAT(text, HasSubstr("  answer    count what follows\n"));
  EXPECT_THAT(text, HasSubstr("  starve    of memory\n"));
}

TEST(CliDispatch, VersionIsThePrograms) {
  EXPECT_EQ(output_of([] { run({"--version"}); }), "lockstep 9.8.7\n");
}

TEST(CliDispatch, NothingAtAllIsAnsweredWithHelpAndCodeTwo) {
  int code = -1;
  EXPECT_THAT(errors_of([&] { code = run({}); }), StartsWith("usage: lockstep COMMAND"));
  EXPECT_EQ(code, 2);
}

TEST(CliDispatch, AnUnknownCommandNamesTheNearest) {
  int code = -1;
  EXPECT_THAT(errors_of([&] { code = run({"anwser"}); }),
              StartsWith("unknown command 'anwser'; did you mean 'answer'?\n"));
  EXPECT_EQ(code, 2);
  EXPECT_THAT(errors_of([&] { code = run({"--vresion"}); }), HasSubstr("did you mean '--version'?"));
}

TEST(CliDispatch, ErrorsBecomeOneMessageAndTheirCode) {
  int code = -1;
  EXPECT_EQ(errors_of([&] { code = run({"data"}); }), "no data\n");
  EXPECT_EQ(code, 3);
  EXPECT_THAT(errors_of([&] { code = run({"trip"}); }), HasSubstr("a bug of ours"));
  EXPECT_THAT(errors_of([&] { code = run({"trip"}); }), HasSubstr("index 7"));
  EXPECT_EQ(code, 1);
  EXPECT_THAT(errors_of([&] { code = run({"starve"}); }), StartsWith("out of memory"));
  EXPECT_EQ(code, 2);
  EXPECT_THAT(errors_of([&] { code = run({"spread"}); }), HasSubstr("use fewer threads, or fewer workers"));
  EXPECT_EQ(code, 2);
}

TEST(CliDispatch, WhatAllWorkersSufferRankZeroTells) {
  int code = -1;
  {
    const UnderLauncher first(0, 2);
    EXPECT_EQ(errors_of([&] { code = run({"data"}); }), "no data\n");
    EXPECT_EQ(errors_of([&] { code = run({"part"}); }), "the states differ\n");
  }
  const UnderLauncher second(1, 2);
  EXPECT_EQ(errors_of([&] { code = run({"data"}); }), "");
  EXPECT_EQ(code, 3) << "silent, but it fails";
  EXPECT_EQ(errors_of([&] { code = run({"part"}); }), "") << "all of them hear of it and leave in order";
  EXPECT_EQ(code, 4);
  EXPECT_THAT(errors_of([&] { code = run({"trip"}); }), StartsWith("rank 1: this is a bug"));
}

TEST(CliDispatchDeathTest, ALostPeerEndsTheProcessAtOnceWithItsRank) {
  const UnderLauncher second(1, 4);
  EXPECT_EXIT(run({"peer"}), testing::ExitedWithCode(4), "rank 1: rank 3 is gone");
}

TEST(CliDispatch, ABrokenLauncherEnvironmentIsTold) {
  setenv("OMPI_COMM_WORLD_RANK", "many", 1);
  setenv("OMPI_COMM_WORLD_SIZE", "2", 1);
  int code = -1;
  EXPECT_THAT(errors_of([&] { code = run({"--help"}); }), HasSubstr("OMPI_COMM_WORLD_RANK"));
  EXPECT_EQ(code, 2);
  unsetenv("OMPI_COMM_WORLD_RANK");
  unsetenv("OMPI_COMM_WORLD_SIZE");
}

}  // namespace
}  // namespace lockstep
