#include "trainer/loop/placement.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <stdexcept>

#include "trainer/loop/agree.h"

namespace lockstep {
namespace {

std::string first_line(const std::filesystem::path& file) {
  std::ifstream stream(file);
  std::string line;
  std::getline(stream, line);
  return line;
}

// The processors that the calling thread may use.
std::vector<int> allowed_processors(const std::filesystem::path& root) {
  constexpr std::string_view key = "Cpus_allowed_list:";
  std::ifstream stream(root / "proc/thread-self/status");
  std::string line;
  while (std::getline(stream, line)) {
    if (line.starts_with(key)) return parse_ranges(line.substr(line.find_first_not_of(" \t", key.size())));
  }
  return {};
}

// The cores that these processors, which are hardware threads, belong to.
std::vector<int> cores_of(const std::vector<int>& processors, const std::filesystem::path& root) {
  std::set<int> cores;
  for (const int processor : processors) {
    const auto topology = root / fmt::format("sys/devices/system/cpu/cpu{}/topology", processor);
    const std::string siblings = first_line(topology / "thread_siblings_list");
    cores.insert(siblings.empty() ? processor : parse_ranges(siblings).front());
  }
  return {cores.begin(), cores.end()};
}

// Which thread computes on which core of one machine.
class Seats {
 public:
  // A core for one more thread of this worker; others may move (a maximum matching, by augmenting paths).
  bool find(int worker, const Placement& placement, std::span<const Placement> all) {
    tried_.clear();
    return search(worker, placement.cores, all);
  }
  // The cores that the last search looked at.
  const std::set<int>& tried() const { return tried_; }

 private:
  bool search(int worker, const std::vector<int>& cores, std::span<const Placement> all) {
    for (const int core : cores) {
      if (!tried_.insert(core).second) continue;
      const auto taken = by_core_.find(core);
      if (taken != by_core_.end()) {
        const int other = taken->second;
        if (!search(other, all[static_cast<std::size_t>(other)].cores, all)) continue;
      }
      by_core_[core] = worker;
      return true;
    }
    return false;
  }

  std::map<int, int> by_core_;
  std::set<int> tried_;
};

// `ranks`: all of one machine.
Crowd crowd_of(const std::vector<int>& ranks, std::span<const Placement> placements) {
  const auto of = [&](int rank) -> const Placement& { return placements[static_cast<std::size_t>(rank)]; };
  std::set<int> crowded;  // a search in vain has seen all cores that these threads could move to
  const auto has_no_other = [&](int rank) { return std::ranges::includes(crowded, of(rank).cores); };
  Seats seats;
  for (const int rank : ranks) {
    for (int thread = 0; thread < of(rank).threads && !has_no_other(rank); ++thread) {
      if (!seats.find(rank, of(rank), placements)) crowded.insert(seats.tried().begin(), seats.tried().end());
    }
  }

  Crowd crowd;
  crowd.cores.assign(crowded.begin(), crowded.end());
  int threads = 0;
  for (const int rank : ranks) {
    threads += of(rank).threads;
    if (!has_no_other(rank)) continue;
    crowd.ranks.push_back(rank);
    crowd.threads += of(rank).threads;
  }
  crowd.fits = threads <= of(ranks[0]).machine_cores;
  return crowd;
}

}  // namespace

Placement own_placement(int threads) {
  return own_placement(threads, "/");
}

Placement own_placement(int threads, const std::filesystem::path& root) {
  Placement placement;
  placement.host = host_name();
  placement.machine = first_line(root / "proc/sys/kernel/random/boot_id");
  if (placement.machine.empty()) placement.machine = placement.host;
  placement.threads = threads;
  try {
    placement.cores = cores_of(allowed_processors(root), root);
    const std::string online = first_line(root / "sys/devices/system/cpu/online");
    if (!online.empty())
      placement.machine_cores = static_cast<int>(cores_of(parse_ranges(online), root).size());
  } catch (const std::logic_error&) {
    placement.cores.clear();  // a kernel that writes otherwise: nothing is known
    placement.machine_cores = 0;
  }
  return placement;
}

std::vector<Crowd> crowds(std::span<const Placement> placements) {
  std::map<std::string, std::vector<int>> machines;
  for (std::size_t rank = 0; rank < placements.size(); ++rank) {
    if (placements[rank].cores.empty()) continue;
    machines[placements[rank].machine].push_back(static_cast<int>(rank));
  }
  std::vector<Crowd> found;
  for (const auto& [machine, ranks] : machines) {
    Crowd crowd = crowd_of(ranks, placements);
    if (!crowd.ranks.empty()) found.push_back(std::move(crowd));
  }
  std::ranges::sort(found, {}, [](const Crowd& crowd) { return crowd.ranks[0]; });
  return found;
}

std::vector<int> parse_ranges(const std::string& text) {
  std::vector<int> numbers;
  std::istringstream pieces(text);
  std::string piece;
  while (std::getline(pieces, piece, ',')) {
    const std::size_t dash = piece.find('-');
    const int first = std::stoi(piece);
    const int last = dash == std::string::npos ? first : std::stoi(piece.substr(dash + 1));
    for (int number = first; number <= last; ++number) numbers.push_back(number);
  }
  return numbers;
}

std::string as_ranges(std::span<const int> ascending) {
  std::string text;
  for (std::size_t begin = 0, end = 0; begin < ascending.size(); begin = end) {
    end = begin + 1;
    while (end < ascending.size() && ascending[end] == ascending[end - 1] + 1) ++end;
    if (!text.empty()) text += ',';
    text += std::to_string(ascending[begin]);
    if (end - begin > 1) text += fmt::format("-{}", ascending[end - 1]);
  }
  return text;
}

}  // namespace lockstep
