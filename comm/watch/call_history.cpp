#include "comm/watch/call_history.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>
#include <numeric>

#include "comm/base/hash.h"

namespace lockstep {

namespace {

// ASCII's own separators, which stand in no name.
constexpr char between_fields = '\x1f';
constexpr char between_calls = '\x1e';

// Equal sizes, as most are, make one entry: "8x3,16x1".
std::string encode_sizes(std::span<const std::size_t> sizes) {
  std::string text;
  for (auto begin = sizes.begin(); begin != sizes.end();) {
    const auto end = std::find_if(begin, sizes.end(), [&](std::size_t size) { return size != *begin; });
    text += fmt::format("{}{}x{}", text.empty() ? "" : ",", *begin, end - begin);
    begin = end;
  }
  return text;
}

// Takes what stands before the separator off the text.
std::string_view take(std::string_view& text, char separator) {
  const std::size_t end = std::min(text.find(separator), text.size());
  const std::string_view part = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return part;
}

std::size_t number(std::string_view text) {
  std::size_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::vector<std::size_t> decode_sizes(std::string_view text) {
  std::vector<std::size_t> sizes;
  while (!text.empty()) {
    std::string_view entry = take(text, ',');
    const std::size_t size = number(take(entry, 'x'));
    sizes.insert(sizes.end(), number(entry), size);
  }
  return sizes;
}

template <class T>
std::string encode_number(T value) {
  return std::to_string(static_cast<std::uint64_t>(value));
}

std::string encode_call(const Call& call) {
  const CallSite& site = call.site;
  std::string text;
  for (const std::string& field :
       {encode_number(site.kind), site.name, encode_number(site.lane), encode_number(site.sequence),
        site.phase, encode_number(site.element), encode_sizes(call.sends), encode_sizes(call.receives)}) {
    text += field + between_fields;
  }
  return text + between_calls;
}

Call decode_call(std::string_view text) {
  Call call;
  const auto next = [&] { return take(text, between_fields); };
  call.site.kind = static_cast<Collective>(number(next()));
  call.site.name = next();
  call.site.lane = static_cast<Lane>(number(next()));
  call.site.sequence = number(next());
  call.site.phase = next();
  call.site.element = static_cast<ElementType>(number(next()));
  call.sends = decode_sizes(next());
  call.receives = decode_sizes(next());
  return call;
}

std::string with_sizes(const Call& call) {
  const auto sum = [](const auto& sizes) {
    return std::accumulate(sizes.begin(), sizes.end(), std::size_t{0});
  };
  return fmt::format("{} of {}, sending {} and receiving {} bytes", describe(call.site),
                     name_of(call.site.element), sum(call.sends), sum(call.receives));
}

// Where `from` does not send what `to` expects.
std::string sizes_contradiction(int from, const Call& sender, int to, const Call& receiver) {
  const auto size = [](const auto& sizes, int rank) {
    const auto index = static_cast<std::size_t>(rank);
    return index < sizes.size() ? sizes[index] : 0;
  };
  const std::size_t sent = size(sender.sends, to);
  const std::size_t expected = size(receiver.receives, from);
  if (sent == expected) return "";
  return fmt::format("fell out of step: rank {} sends {} bytes in {}, rank {} expects {} from it in {}", from,
                     sent, describe(sender.site), to, expected, describe(receiver.site));
}

using Told = std::span<const std::optional<CallHistory>>;

// The first place on the lane of `call`, from its oldest on, at which two workers started calls that do not
// fit.
std::string first_contradiction(Lane lane, Told told) {
  std::vector<std::uint64_t> places;
  for (const auto& history : told) {
    if (!history) continue;
    for (const Call& call : history->calls()) {
      if (call.site.lane == lane) places.push_back(call.site.sequence);
    }
  }
  std::ranges::sort(places);
  places.erase(std::unique(places.begin(), places.end()), places.end());
  for (const std::uint64_t place : places) {
    for (std::size_t a = 0; a < told.size(); ++a) {
      for (std::size_t b = a + 1; b < told.size(); ++b) {
        const Call* first = told[a] ? told[a]->at(lane, place) : nullptr;
        const Call* second = told[b] ? told[b]->at(lane, place) : nullptr;
        if (first == nullptr || second == nullptr) continue;
        auto found = contradiction(static_cast<int>(a), *first, static_cast<int>(b), *second);
        if (!found.empty()) return found;
      }
    }
  }
  return "";
}

// What the others wait for: a worker that is elsewhere, or does not answer.
std::string who_is_missing(const CallSite& call, int asking, Told told, std::span<const std::string> names) {
  std::string text;
  const auto before = [&](const std::optional<CallHistory>& history) -> const Call* {
    return history && call.sequence > 0 ? history->at(call.lane, call.sequence - 1) : nullptr;
  };
  for (std::size_t rank = 0; rank < told.size(); ++rank) {
    if (!told[rank]) {
      text += fmt::format("; no word from {}", names[rank]);
      if (const Call* last = before(told[static_cast<std::size_t>(asking)]))
        text += fmt::format(", which last came to {}", describe(last->site));
    } else if (told[rank]->at(call.lane, call.sequence) == nullptr) {
      const auto& calls = told[rank]->calls();
      if (calls.empty()) continue;  // none are recorded without comm.check_order
      text += fmt::format("; {} has not started it: it started last {}", names[rank],
                          describe(calls.front().site));
    }
  }
  return text;
}

}  // namespace

std::uint64_t order_key(const CallSite& site) {
  const std::array<std::uint64_t, 3> numbers{static_cast<std::uint64_t>(site.kind),
                                             static_cast<std::uint64_t>(site.element), site.sequence};
  return hash64(site.name, hash64(std::as_bytes(std::span(numbers))));
}

void CallHistory::record(const CallSite& site, std::span<const std::size_t> sends,
                         std::span<const std::size_t> receives) {
  if (calls_.size() < kept) {
    calls_.emplace_front();
  } else {  // the oldest one's memory is used again
    calls_.splice(calls_.begin(), calls_, std::prev(calls_.end()));
  }
  Call& call = calls_.front();
  call.site = site;
  call.sends.assign(sends.begin(), sends.end());
  call.receives.assign(receives.begin(), receives.end());
}

const Call* CallHistory::at(Lane lane, std::uint64_t sequence) const {
  const auto found = std::ranges::find_if(
      calls_, [&](const Call& call) { return call.site.lane == lane && call.site.sequence == sequence; });
  return found == calls_.end() ? nullptr : &*found;
}

std::string CallHistory::encode(std::size_t most) const {
  std::string text;
  for (const Call& call : calls_) {
    const std::string next = encode_call(call);
    if (text.size() + next.size() > most) break;
    text += next;
  }
  return text;
}

CallHistory CallHistory::decode(std::string_view text) {
  CallHistory history;
  while (text.find(between_calls) != std::string_view::npos) {
    history.calls_.push_back(decode_call(take(text, between_calls)));
  }
  return history;
}

std::string contradiction(int rank, const Call& mine, int other, const Call& theirs) {
  if (mine.site.kind != theirs.site.kind || mine.site.name != theirs.site.name ||
      mine.site.element != theirs.site.element) {
    return fmt::format("fell out of step: rank {} started {} where rank {} started {}", rank,
                       with_sizes(mine), other, with_sizes(theirs));
  }
  auto found = sizes_contradiction(rank, mine, other, theirs);
  return found.empty() ? sizes_contradiction(other, theirs, rank, mine) : found;
}

std::string verdict(const CallSite& call, int asking, Told told, std::span<const std::string> names) {
  for (const Lane lane : {call.lane, Lane::statistics, Lane::scatter, Lane::gather}) {
    const std::string found = first_contradiction(lane, told);
    if (!found.empty()) return "; " + found;
  }
  return who_is_missing(call, asking, told, names);
}

}  // namespace lockstep
