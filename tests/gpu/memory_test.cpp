// What is given back to a GPU's pool of memory is taken from it again, and comes zeroed.
#include "layers/ops/cuda/device/memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "tests/gpu/on_gpu.h"

namespace lockstep::test {
namespace {

constexpr std::size_t bytes = std::size_t{64} << 20;

struct GpuMemoryTest : testing::Test {
  void SetUp() override {
    if (const char* reason = target::unavailable()) GTEST_SKIP() << reason;
    target::device();  // makes it this thread's current one
  }
};

TEST_F(GpuMemoryTest, IsKeptForWhatIsTakenNext) {
  const cuda::MemoryPool pool(0);
  const cuda::Stream stream;
  EXPECT_EQ(pool.spare_bytes(), 0U);
  std::byte* memory = pool.take(bytes, stream.get());
  EXPECT_LT(pool.spare_bytes(), bytes);
  cuda::MemoryPool::give_back(memory, stream.get());
  stream.wait();
  const std::size_t spare = pool.spare_bytes();
  EXPECT_GE(spare, bytes);
  memory = pool.take(bytes, stream.get());
  EXPECT_LE(pool.spare_bytes(), spare - bytes);
  cuda::MemoryPool::give_back(memory, stream.get());
}

TEST_F(GpuMemoryTest, IsZeroedThoughItWasUsedBefore) {
  constexpr auto used = std::byte{0x5a};
  std::vector<std::byte> values(bytes, used);
  const auto& gpu = target::device();
  for (int time = 0; time < 2; ++time) {
    const target::Memory memory(bytes);
    target::Memory::copy_out(values.data(), memory.data(), bytes);
    EXPECT_EQ(std::ranges::count(values, std::byte{0}), static_cast<std::ptrdiff_t>(bytes));
    std::ranges::fill(values, used);
    gpu.copy_in(memory.data(), values.data(), bytes);
  }
}

}  // namespace
}  // namespace lockstep::test
