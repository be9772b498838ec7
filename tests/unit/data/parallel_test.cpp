#include "trainer/data/parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace lockstep::testing {
namespace {

TEST(ForEachIndex, CallsEachOnceWhateverTheThreads) {
  for (const int threads : {1, 2, 5}) {
    std::vector<std::atomic<int>> calls(100);
    for_each_index(100, threads, [&](std::size_t thread, std::int64_t index) {
      ASSERT_LT(thread, static_cast<std::size_t>(threads));
      ++calls[static_cast<std::size_t>(index)];
    });
    for (const auto& count : calls) EXPECT_EQ(count, 1);
  }
  for_each_index(0, 3, [](std::size_t, std::int64_t) { FAIL(); });
}

TEST(ForEachIndex, ThrowsWhatTheLowestIndexThrew) {
  for (int round = 0; round < 50; ++round) {
    try {
      for_each_index(1000, 4, [](std::size_t, std::int64_t index) {
        if (index >= 13) throw std::runtime_error(std::to_string(index));
      });
      FAIL();
    } catch (const std::runtime_error& error) {
      EXPECT_STREQ(error.what(), "13");
    }
  }
}

TEST(ForEachIndex, TheCallingThreadDoesSomethingElseBetweenItsOwn) {
  const auto caller = std::this_thread::get_id();
  for (const int threads : {1, 3}) {
    int own = 0;
    int times = 0;
    const auto work = [&](std::size_t thread, std::int64_t) {
      if (thread == 0) ++own;
    };
    for_each_index(100, threads, work, [&] {
      EXPECT_EQ(std::this_thread::get_id(), caller);
      ++times;
    });
    EXPECT_EQ(times, own);
  }
}

TEST(ForEachIndex, WhatThatThrowsEndsIt) {
  std::atomic<int> calls = 0;
  const auto work = [&](std::size_t, std::int64_t) { ++calls; };
  EXPECT_THROW(for_each_index(1000, 1, work, [] { throw std::runtime_error("enough"); }), std::runtime_error);
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace lockstep::testing
