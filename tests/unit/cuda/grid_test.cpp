#include "layers/ops/cuda/grid.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>
#include <vector>

#include "layers/ops/cuda/wide_rows.h"

namespace lockstep::cuda {
namespace {

constexpr std::int64_t huge = std::int64_t{1} << 45;

void expect_bearable(const Grid& grid) {
  EXPECT_LE(grid.blocks_x, most_blocks_x);
  EXPECT_LE(grid.blocks_y, most_blocks_y);
  EXPECT_LE(grid.threads, most_threads);
}

template <class Visit>
void each_place(const Grid& grid, const Visit& visit) {
  for (std::uint32_t block_y = 0; block_y < grid.blocks_y; ++block_y) {
    for (std::uint32_t block_x = 0; block_x < grid.blocks_x; ++block_x) {
      for (std::uint32_t thread = 0; thread < grid.threads; ++thread)
        visit(Place{grid, block_x, block_y, thread});
    }
  }
}

// What threads visit, counted.
struct Count {
  std::vector<int>& visits;
  std::int64_t columns = 0;

  void operator()(std::int64_t i) const { ++visits[static_cast<std::size_t>(i)]; }
  auto column(std::int64_t column) const {
    return [column, *this](std::int64_t row) { (*this)(row * columns + column); };
  }
};

std::vector<int> once(std::int64_t count) {
  std::vector<int> visits(static_cast<std::size_t>(count), 1);
  return visits;
}

TEST(Grid, EachElementIsVisitedOnce) {
  for (const std::int64_t count : {0, 1, 31, 256, 257, 70000}) {
    std::vector<int> visits(static_cast<std::size_t>(count));
    each_place(grid_over(count), [&](const Place& at) { work_over(at, count, Count{visits}); });
    EXPECT_EQ(visits, once(count)) << count;
  }
}

TEST(Grid, EachElementOfRowsAndColumnsIsVisitedOnce) {
  for (const auto& [columns, rows] : std::vector<std::pair<std::int64_t, std::int64_t>>{
           {1, 1}, {0, 5}, {5, 0}, {30, 1000}, {33, 65}, {2048, 7}, {100, 64}}) {
    std::vector<int> visits(static_cast<std::size_t>(columns * rows));
    const auto work = [&, columns = columns, rows = rows](const Place& at) {
      work_over(at, columns, rows, Count{visits, columns});
    };
    each_place(grid_over(columns, rows), work);
    EXPECT_EQ(visits, once(columns * rows)) << columns << " columns, " << rows << " rows";
  }
}

// More than a grid has threads, or blocks along a side.
TEST(Grid, FewThreadsVisitAllOfMany) {
  std::vector<int> visits(1000);
  const Grid grid{.blocks_x = 2, .blocks_y = 1, .threads = 64};
  each_place(grid, [&](const Place& at) { work_over(at, 1000, Count{visits}); });
  EXPECT_EQ(visits, once(1000));

  std::fill(visits.begin(), visits.end(), 0);
  const Grid flat{.blocks_x = 1, .blocks_y = 2, .threads = threads};
  each_place(flat, [&](const Place& at) { work_over(at, 100, 10, Count{visits, 100}); });
  EXPECT_EQ(visits, once(1000));
}

TEST(Grid, IsBearableHoweverMuchThereIs) {
  for (const std::int64_t count : {std::int64_t{1}, std::int64_t{1} << 31, huge}) {
    expect_bearable(grid_over(count));
    EXPECT_GE(grid_over(count).blocks_x, 1U);
    for (const std::int64_t other : {std::int64_t{1}, std::int64_t{1} << 31, huge}) {
      expect_bearable(grid_over(count, other));
      EXPECT_GE(grid_over(count, other).blocks_x, 1U);
    }
  }
}

TEST(Grid, NeighbouringThreadsHaveNeighbouringElements) {
  std::vector<std::int64_t> visited;
  for (std::uint32_t thread = 0; thread < warp; ++thread) {
    work_over(Place{grid_over(1000), 0, 0, thread}, 1000, [&](std::int64_t i) { visited.push_back(i); });
  }
  ASSERT_EQ(visited.size(), static_cast<std::size_t>(warp));
  for (std::size_t i = 0; i < visited.size(); ++i) EXPECT_EQ(visited[i], i);
}

TEST(Grid, OfBlocksIsRefusedWhereNoGpuBearsIt) {
  EXPECT_EQ(grid_of(most_blocks_x, most_threads).blocks_x, most_blocks_x);
  EXPECT_THROW(grid_of(most_blocks_x + 1, 1), std::logic_error);
  EXPECT_THROW(grid_of(1, most_threads + 1), std::logic_error);
}

TEST(WideRows, HaveAsManyRowsSideBySideAsFillAWarp) {
  const WideRows few(1001, 3);
  EXPECT_EQ(few.columns, 30);
  EXPECT_EQ(few.rows, 101);
  EXPECT_EQ(few.elements, 3003);
  EXPECT_EQ(few.tiles(), 1);
  EXPECT_EQ(few.row_blocks(), 1);
  const WideRows many(1001, 100);
  EXPECT_EQ(many.columns, 100);
  EXPECT_EQ(many.rows, 1001);
  EXPECT_EQ(many.tiles(), 4);
  EXPECT_EQ(many.row_blocks(), 8);
}

}  // namespace
}  // namespace lockstep::cuda
