#include "comm/texts.h"

#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>

namespace lockstep {

std::vector<std::string> gather_texts(Communicator& comm, std::string_view name, const std::string& mine) {
  const auto workers = static_cast<std::size_t>(comm.size());
  const std::uint64_t length = mine.size();
  std::vector<std::uint64_t> lengths(workers);
  const std::vector<std::size_t> one_each(workers, 1);
  comm.all_gather(Lane::statistics, name, std::span(&length, 1), std::span(lengths), one_each).wait();

  const std::vector<std::size_t> counts(lengths.begin(), lengths.end());
  std::string all(std::reduce(counts.begin(), counts.end()), '\0');
  if (!all.empty()) {
    comm.all_gather(Lane::statistics, name, std::span<const char>(mine), std::span<char>(all), counts).wait();
  }
  std::vector<std::string> texts;
  texts.reserve(workers);
  std::size_t begin = 0;
  for (const std::size_t count : counts) {
    texts.push_back(all.substr(begin, count));
    begin += count;
  }
  return texts;
}

}  // namespace lockstep
