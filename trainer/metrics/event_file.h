#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "trainer/metrics/growing_file.h"

namespace lockstep {

// What TensorBoard shows of a run, by step. Failures are those of GrowingFile.
//
// Each start of a run has a file of its own, as TensorBoard expects of programs that start again: it follows
// a file that grows, and goes on with the one of the next name, but never looks back. A file begins with
// the step at which its steps begin, and TensorBoard then forgets what earlier files told of that step and of
// later ones. So a resumed run shows neither gap nor repeat, also to who watches it all the while.
class EventFile {
 public:
  template <class Value>
  using ByTag = std::vector<std::pair<std::string, Value>>;

  // A new file in the folder of a run of which `first_step` steps are done.
  EventFile(const std::filesystem::path& run, std::int64_t first_step);
  const std::filesystem::path& path() const { return file_.path(); }

  void scalars(std::int64_t step, const ByTag<double>& values);
  // How values are spread; what is not finite does not count.
  void histograms(std::int64_t step, const ByTag<std::span<const float>>& values);
  void text(std::int64_t step, const std::string& tag, const std::string& markdown);
  // Brings all so far to the disk.
  void sync() { file_.sync(); }

 private:
  GrowingFile file_;
};

}  // namespace lockstep
