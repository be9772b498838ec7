#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "layers/tensor/buffer.h"

namespace lockstep {

// A file's bytes: the first `bytes` of the contents.
struct FileBytes {
  Buffer contents;
  std::size_t bytes = 0;

  std::span<const std::byte> all() const { return {contents.data(), bytes}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(contents.data()), bytes}; }
};

// A regular file in memory, all of it. Throws DataError with the path and the system's reason, also where it
// is no regular file (a pipe would never end) or changes its size meanwhile.
FileBytes read_whole_file(const std::filesystem::path& file);

// The first line of a regular file, without its end: of at most 256 bytes, or nothing. Empty also where there
// is no such file.
std::string read_short_line(const std::filesystem::path& file);

}  // namespace lockstep
