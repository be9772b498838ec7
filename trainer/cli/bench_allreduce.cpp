#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "trainer/cli/bench.h"
#include "trainer/loop/bench_allreduce.h"

namespace lockstep {
namespace {

constexpr double to_us = 1e6;

struct Line {
  std::size_t bytes;
  double tree_us, mpi_us;
  Spread ratio;
};

std::vector<Line> lines_of(const std::vector<AllreduceSize>& sizes) {
  std::vector<Line> lines;
  lines.reserve(sizes.size());
  for (const auto& size : sizes) {
    lines.push_back({size.bytes, spread(size.tree).median * to_us, spread(size.mpi).median * to_us,
                     spread(ratios(size.tree, size.mpi))});
  }
  return lines;
}

double geometric_mean(const std::vector<Line>& lines) {
  double sum = 0;
  for (const Line& line : lines) sum += std::log(line.ratio.median);
  return std::exp(sum / static_cast<double>(lines.size()));
}

}  // namespace

std::string bench_allreduce(Communicator& comm, const Bench& bench) {
  const std::vector<Line> lines = lines_of(measure_allreduce(comm, bench.config, bench.window_seconds));
  const double mean = geometric_mean(lines);
  const Line& worst = *std::ranges::max_element(lines, {}, [](const Line& it) { return it.ratio.median; });
  if (!bench.json) {
    std::string text = fmt::format(
        "the tree takes {:.2f} times MPI_Allreduce (geometric mean), at worst {:.2f} times (at {} B); {} "
        "workers, "
        "{} shards\n{:>10} {:>12} {:>12}  ratio (min to max)",
        mean, worst.ratio.median, worst.bytes, comm.size(), bench.config.batch.shards, "bytes", "tree us",
        "MPI us");
    for (const Line& line : lines) {
      text += fmt::format("\n{:>10} {:>12.2f} {:>12.2f}  {:.2f} ({:.2f} to {:.2f})", line.bytes, line.tree_us,
                          line.mpi_us, line.ratio.median, line.ratio.min, line.ratio.max);
    }
    return text;
  }
  nlohmann::ordered_json json{{"geometric_mean", mean},
                              {"worst", worst.ratio.median},
                              {"worst_bytes", worst.bytes},
                              {"workers", comm.size()},
                              {"shards", bench.config.batch.shards}};
  for (const Line& line : lines) {
    json["sizes"].push_back(nlohmann::ordered_json{{"bytes", line.bytes},
                                                   {"tree_us", line.tree_us},
                                                   {"mpi_us", line.mpi_us},
                                                   {"ratio", line.ratio.median},
                                                   {"min", line.ratio.min},
                                                   {"max", line.ratio.max}});
  }
  return json.dump();
}

}  // namespace lockstep
