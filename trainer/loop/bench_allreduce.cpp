#include "trainer/loop/bench_allreduce.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <stdexcept>
#include <utility>

#include "comm/gradients/reducer.h"
#include "comm/mpi/plain_sum.h"
#include "comm/tree/fixed_tree.h"
#include "layers/tensor/buffer.h"
#include "trainer/loop/bench_step.h"
#include "trainer/loop/setup.h"

namespace lockstep {
namespace {

constexpr std::size_t smallest = 64, largest_size = 16 << 20;

// Both sums of an array of this size, over all workers.
class Sums {
 public:
  Sums(Communicator& comm, const ShardLayout& layout, std::size_t bytes,
       const GradientReducer::Options& options)
      : shards_(layout.shards()),
        reducer_(comm, layout, {{0, static_cast<std::int64_t>(bytes / sizeof(float))}}, options),
        plain_(bytes) {
    for (std::size_t node = 0; node < reducer_.nodes().size(); ++node) {
      buffers_.emplace_back(bytes);
      arenas_.push_back(buffers_.back().as<float>().data());
    }
  }

  void tree() {
    reducer_.begin(arenas_, arenas_.front(), shards_);
    reducer_.ready(0);
    reducer_.finish();
  }
  void mpi() { plain_allreduce(plain_.as<float>()); }

  // Small whole numbers, whose sums are exact in any order. What is left is zeros, which stay zeros.
  void check() {
    fill(1);
    tree();
    mpi();
    if (!std::ranges::equal(buffers_.front().as<float>(), plain_.as<float>())) {
      throw std::logic_error(
          fmt::format("the tree's sum of {} bytes is not that of MPI_Allreduce", plain_.size()));
    }
    fill(0);
  }

 private:
  void fill(float value) {
    for (Buffer& buffer : buffers_) std::ranges::fill(buffer.as<float>(), value);
    std::ranges::fill(plain_.as<float>(), value * static_cast<float>(buffers_.size()));
  }

  std::int64_t shards_;
  GradientReducer reducer_;
  std::vector<Buffer> buffers_;  // a node of the reducer each
  std::vector<float*> arenas_;
  Buffer plain_;
};

// How many calls make a window. A few calls tell too little where others use the machine too: what took
// microseconds may take milliseconds the next time.
std::int64_t calls_in(double wanted, const std::function<double(std::int64_t)>& seconds) {
  constexpr std::int64_t most = 1 << 14;
  std::int64_t calls = 1;
  while (calls < most && seconds(calls) < wanted / 2) calls *= 2;
  return calls;
}

}  // namespace

std::vector<AllreduceSize> measure_allreduce(Communicator& comm, const Config& config,
                                             double window_seconds) {
  const ShardLayout layout(config.batch.shards, comm.size(), comm.rank());
  GradientReducer::Options options = reduction_options(comm, config);
  options.overlap = false;

  std::vector<AllreduceSize> sizes;
  for (std::size_t bytes = smallest; bytes <= largest_size; bytes *= 2) {
    Sums sums(comm, layout, bytes, options);
    sums.check();
    const auto timed = [&](void (Sums::*sum)()) {
      return [&, sum](std::int64_t calls) {
        return seconds_together(comm, [&] {
          for (std::int64_t call = 0; call < calls; ++call) (sums.*sum)();
        });
      };
    };
    const auto tree = timed(&Sums::tree);
    const auto mpi = timed(&Sums::mpi);
    const std::int64_t calls = calls_in(window_seconds, tree);
    mpi(calls);  // warms up
    AllreduceSize& size = sizes.emplace_back(AllreduceSize{.bytes = bytes, .tree = {}, .mpi = {}});
    for (int window = 0; window < bench_windows; ++window) {
      size.tree.push_back(tree(calls) / static_cast<double>(calls));
      size.mpi.push_back(mpi(calls) / static_cast<double>(calls));
    }
  }
  return sizes;
}

}  // namespace lockstep
