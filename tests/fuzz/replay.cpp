// Runs a target over files, each once: what the default tests do with the corpus, and how a finding is looked
// at.
//   fuzz_<target> FILE|FOLDER...
#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/fuzz/fuzz.h"

namespace {

void replay(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(stream), {}};
  std::cerr << file.string() << "\n";  // the last line before a crash names the culprit
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
}

}  // namespace

int main(int count, char** arguments) {
  int files = 0;
  for (const std::filesystem::path place : std::vector<std::string>(arguments + 1, arguments + count)) {
    if (!std::filesystem::is_directory(place)) {
      replay(place);
      ++files;
      continue;
    }
    for (const auto& entry : std::filesystem::directory_iterator(place)) {
      replay(entry.path());
      ++files;
    }
  }
  if (files == 0) std::cerr << "nothing was replayed\n";
  return files == 0 ? 1 : 0;
}
