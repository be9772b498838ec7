#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace lockstep {

// Where a worker runs.
struct Placement {
  std::string host;        // as it calls itself
  std::string machine;     // the same for all hosts that share its cores: containers, namespaces
  std::vector<int> cores;  // that the worker may use, ascending, each named by its first hardware thread
  int machine_cores = 0;   // of the whole machine; 0 where it does not tell
  int threads = 1;         // that compute

  // To less than all cores.
  bool bound() const { return static_cast<int>(cores.size()) < machine_cores; }
};

// This worker's, as the kernel has it now.
Placement own_placement(int threads);
// The same, read from files below `root` instead of "/".
Placement own_placement(int threads, const std::filesystem::path& root);

// Workers on cores of one machine that are fewer than their threads: they take turns.
struct Crowd {
  std::vector<int> ranks;
  std::vector<int> cores;
  int threads = 0;
  bool fits = false;  // the machine has enough cores for all of its workers
};

// placements: by rank. At most one crowd a machine. None where every thread can have a core of its own.
std::vector<Crowd> crowds(std::span<const Placement> placements);

// "0-3,8" as numbers, and back. Throws std::invalid_argument or std::out_of_range where it is no such list.
std::vector<int> parse_ranges(const std::string& text);
std::string as_ranges(std::span<const int> ascending);

}  // namespace lockstep
