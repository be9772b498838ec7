#include "comm/texts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "comm/threads/threads.h"

namespace lockstep {
namespace {

TEST(GatherTexts, BringsEachRanksTextWhateverItsLength) {
  run_threads(3, [](Communicator& comm) {
    const std::string mine(static_cast<std::size_t>(comm.rank()) * 3, static_cast<char>('a' + comm.rank()));
    EXPECT_THAT(gather_texts(comm, "texts", mine), testing::ElementsAre("", "bbb", "cccccc"));
  });
}

}  // namespace
}  // namespace lockstep
