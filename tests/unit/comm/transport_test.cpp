#include "tests/support/transport_suite.h"

#include <gtest/gtest.h>

#include "comm/single/single.h"
#include "tests/support/run_workers.h"

namespace lockstep::test {
namespace {

class SingleTransport : public testing::TestWithParam<Behaviour> {};

TEST_P(SingleTransport, behaves) {
  GetParam().check(*make_single());
}

INSTANTIATE_TEST_SUITE_P(all, SingleTransport, testing::ValuesIn(transport_behaviours()),
                         [](const auto& test) { return test.param.name; });

class ThreadsTransport : public testing::TestWithParam<std::tuple<Behaviour, int>> {};

TEST_P(ThreadsTransport, behaves) {
  const auto& [behaviour, workers] = GetParam();
  run_workers(workers, behaviour.check);
}

INSTANTIATE_TEST_SUITE_P(all, ThreadsTransport,
                         testing::Combine(testing::ValuesIn(transport_behaviours()),
                                          testing::Values(1, 2, 3, 4, 5, 7, 8)),
                         [](const auto& test) {
                           return std::get<0>(test.param).name + "_with_" +
                                  std::to_string(std::get<1>(test.param)) + "_workers";
                         });

}  // namespace
}  // namespace lockstep::test
