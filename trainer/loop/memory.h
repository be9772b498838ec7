#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

namespace lockstep {

// Bytes that this machine could still give out: MemAvailable, or less where a control group limits us.
std::size_t available_memory();
// The same, read from files below `root` instead of "/".
std::size_t available_memory(const std::filesystem::path& root);

// What one worker's plan may use: plan.memory_mib, or its share of what the machine has free.
struct MemoryLimit {
  std::size_t bytes = 0;
  std::string origin;  // for messages: "plan.memory_mib is 64"
};
MemoryLimit memory_limit(std::int64_t memory_mib, std::size_t available, int workers_here);

// Throws UsageError with the remedies where `needed` does not fit.
void check_memory(std::size_t needed, const MemoryLimit& limit);

// "12 B", "3.1 KiB", "812 MiB", "3.1 GiB".
std::string readable_bytes(std::size_t bytes);

}  // namespace lockstep
