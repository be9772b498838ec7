#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "trainer/checkpoint/atomic_file.h"

namespace lockstep {

// A file that is only appended to. Failures are DataError with the path and the system's reason. What could
// not be written is kept, and goes first with what comes next, so that a disk that was full for a while
// leaves neither a gap nor a torn piece.
class GrowingFile {
 public:
  // Opens for appending; makes the file where it is not there.
  explicit GrowingFile(std::filesystem::path file);
  const std::filesystem::path& path() const { return file_; }

  // To be written with what comes next.
  void keep(std::string_view bytes) { unwritten_ += bytes; }
  void write(std::string_view bytes);
  // Brings all so far to the disk.
  void sync();

 private:
  void flush();

  std::filesystem::path file_;
  FileDescriptor descriptor_;
  std::string unwritten_;
};

}  // namespace lockstep
