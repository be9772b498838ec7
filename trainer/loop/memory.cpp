#include "trainer/loop/memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>

#include "comm/base/error.h"

namespace lockstep {
namespace {

constexpr std::size_t unlimited = std::numeric_limits<std::size_t>::max();

// The number behind `key` in a file of lines "key number", or the file's only number where key is empty.
std::optional<std::size_t> read_number(const std::filesystem::path& file, const std::string& key = "") {
  std::ifstream stream(file);
  std::string word;
  while (stream && !key.empty() && word != key) stream >> word;
  std::size_t number = 0;
  if (stream >> number) return number;
  return std::nullopt;
}

// Where this process stands among the control groups (version 2: one line, "0::/path").
std::filesystem::path control_group(const std::filesystem::path& root) {
  std::ifstream stream(root / "proc/self/cgroup");
  std::string line;
  while (std::getline(stream, line)) {
    if (line.starts_with("0::/")) return line.substr(4);
  }
  return {};
}

// What a group's limit leaves. Page cache counts as used but is given back on demand.
std::size_t group_headroom(const std::filesystem::path& group) {
  const auto limit = read_number(group / "memory.max");
  const auto used = read_number(group / "memory.current");
  if (!limit || !used) return unlimited;
  const std::size_t held =
      *used - std::min(*used, read_number(group / "memory.stat", "inactive_file").value_or(0));
  return *limit - std::min(*limit, held);
}

}  // namespace

std::size_t available_memory() {
  return available_memory("/");
}

std::size_t available_memory(const std::filesystem::path& root) {
  const auto free_kib = read_number(root / "proc/meminfo", "MemAvailable:");
  std::size_t available = free_kib ? *free_kib * 1024 : unlimited;
  const auto mount = root / "sys/fs/cgroup";
  for (auto group = control_group(root);; group = group.parent_path()) {
    available = std::min(available, group_headroom(mount / group));
    if (group.empty()) return available;
  }
}

MemoryLimit memory_limit(std::int64_t memory_mib, std::size_t available, int workers_here) {
  if (memory_mib > 0) {
    return {static_cast<std::size_t>(memory_mib) << 20, fmt::format("plan.memory_mib is {}", memory_mib)};
  }
  return {available / static_cast<std::size_t>(workers_here),
          fmt::format("this machine has {} free for {} worker(s)", readable_bytes(available), workers_here)};
}

void check_memory(std::size_t needed, const MemoryLimit& limit) {
  if (needed <= limit.bytes) return;
  throw UsageError(
      fmt::format("the plan needs {} a worker, but {}. Use a smaller batch.global or evaluation.batch, more "
                  "workers on more machines, plan.recompute: true, or raise plan.memory_mib",
                  readable_bytes(needed), limit.origin));
}

std::string readable_bytes(std::size_t bytes) {
  if (bytes < (1 << 10)) return fmt::format("{} B", bytes);
  if (bytes < (1 << 20) / 10) return fmt::format("{:.1f} KiB", static_cast<double>(bytes) / (1 << 10));
  const double mib = static_cast<double>(bytes) / (1 << 20);
  if (mib >= 1024) return fmt::format("{:.1f} GiB", mib / 1024);
  return fmt::format("{:.{}f} MiB", mib, mib < 10 ? 1 : 0);
}

}  // namespace lockstep
