#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "trainer/cli/bench.h"

namespace lockstep {
namespace {

// n values in descending order; sorted, the one of rank r (from 1) is r.
std::vector<double> counted_down(std::size_t n) {
  std::vector<double> values(n);
  std::iota(values.rbegin(), values.rend(), 1);
  return values;
}

// The sums of binomial probabilities outside the ranks 14 to 28 of 41 are 2.8 %, outside 15 to 27 they
// are 6.0 %.
TEST(Bench, IntervalOfTheMedianIsOfRanks) {
  const Interval of_41 = interval_of_median(counted_down(41));
  EXPECT_EQ(of_41.low, 14);
  EXPECT_EQ(of_41.high, 28);
}

TEST(Bench, IntervalOfFewValuesIsAllOfThem) {
  const Interval interval = interval_of_median({3, 1, 2});
  EXPECT_EQ(interval.low, 1);
  EXPECT_EQ(interval.high, 3);
}

}  // namespace
}  // namespace lockstep
