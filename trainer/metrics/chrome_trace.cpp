#include "trainer/metrics/chrome_trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

namespace lockstep {
namespace {

std::string as_json(const std::string& text) {
  return nlohmann::json(text).dump();
}

}  // namespace

ChromeTrace::ChromeTrace(const Trace& trace, Worker worker) : worker_(std::move(worker)) {
  name("process_name", 0, fmt::format(R"("name":{})", as_json(worker_.name)));
  name("process_sort_index", 0, fmt::format(R"("sort_index":{})", worker_.rank));
  for (const Trace::Track& track : trace.threads()) place_thread(track);
  for (std::size_t lane = 0; lane < trace.lanes().size(); ++lane) {
    place_lane(trace.lanes()[lane], worker_.lanes[lane]);
  }
}

std::string ChromeTrace::next(std::size_t bytes) {
  std::string text;
  for (; next_ < names_.size() + slices_.size() && text.size() < bytes; ++next_) {
    if (!text.empty()) text += ",\n";
    text += next_ < names_.size() ? names_[next_] : event(slices_[next_ - names_.size()]);
  }
  return text;
}

void ChromeTrace::place_thread(const Trace::Track& track) {
  const int row = rows_++;
  name_row(row, fmt::format("compute {}", row));
  for (const Trace::Slice* slice : in_order(track)) slices_.push_back({slice, row, "shard"});
}

void ChromeTrace::place_lane(const Trace::Track& track, const std::string& name) {
  std::vector<Time> free_from;  // each row
  for (const Trace::Slice* slice : in_order(track)) {
    auto row = std::ranges::find_if(free_from, [&](Time time) { return time <= slice->begin; });
    if (row == free_from.end()) {
      name_row(rows_ + static_cast<int>(free_from.size()), name);
      row = free_from.insert(row, slice->end);
    }
    *row = slice->end;
    slices_.push_back({slice, rows_ + static_cast<int>(row - free_from.begin()), "sequence"});
  }
  rows_ += static_cast<int>(free_from.size());
}

// Of slices that begin together the longest comes first, which holds the others.
std::vector<const Trace::Slice*> ChromeTrace::in_order(const Trace::Track& track) const {
  std::vector<const Trace::Slice*> slices;
  slices.reserve(track.slices.size());
  for (const Trace::Slice& slice : track.slices) {
    if (slice.begin < worker_.end) slices.push_back(&slice);
  }
  std::ranges::stable_sort(slices, {},
                           [](const Trace::Slice* it) { return std::pair(it->begin, it->begin - it->end); });
  return slices;
}

void ChromeTrace::name(const char* what, int row, const std::string& arguments) {
  names_.push_back(fmt::format(R"({{"ph":"M","name":"{}","pid":{},"tid":{},"args":{{{}}}}})", what,
                               worker_.rank, row, arguments));
}

void ChromeTrace::name_row(int row, const std::string& name) {
  this->name("thread_name", row, fmt::format(R"("name":{})", as_json(name)));
  this->name("thread_sort_index", row, fmt::format(R"("sort_index":{})", row));
}

std::string ChromeTrace::event(const Placed& placed) const {
  const Trace::Slice& slice = *placed.slice;
  const auto microseconds = [](std::chrono::nanoseconds time) {
    return static_cast<double>(time.count()) / 1000;
  };
  const auto begin = worker_.shared_time(slice.begin);
  const auto end = worker_.shared_time(slice.end);
  std::string arguments;
  if (!slice.part->empty()) arguments = fmt::format(R"("part":{})", as_json(*slice.part));
  if (slice.number >= 0) {
    arguments += fmt::format(R"({}"{}":{})", arguments.empty() ? "" : ",", placed.number, slice.number);
  }
  return fmt::format(
      R"({{"ph":"X","name":{},"cat":"{}","pid":{},"tid":{},"ts":{:.3f},"dur":{:.3f},"args":{{{}}}}})",
      as_json(*slice.name), slice.kind, worker_.rank, placed.row, microseconds(begin),
      microseconds(end - begin), arguments);
}

}  // namespace lockstep
