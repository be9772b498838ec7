#include "comm/base/text.h"

#include <cstdint>

namespace lockstep {
namespace {

struct Character {
  std::size_t bytes = 1;
  bool shown = false;
};

// The character that a text, not empty, begins with. What is not UTF-8 is a byte that is not shown.
Character first_character(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {1, lead >= 0x20 && lead != 0x7F};
  const std::size_t bytes = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < bytes) return {};
  std::uint32_t code = lead & (0xFFU >> (bytes + 1));
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xC0U) != 0x80) return {};
    code = code << 6U | (byte(i) & 0x3FU);
  }
  const bool too_long = (bytes == 3 && code < 0x800) || (bytes == 4 && code < 0x10000);
  if (too_long || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return {};
  const bool control = code < 0xA0;
  const bool turns_text = (code >= 0x200E && code <= 0x200F) || (code >= 0x2028 && code <= 0x202E) ||
                          (code >= 0x2066 && code <= 0x2069);
  return {bytes, !control && !turns_text};
}

}  // namespace

std::string printable(std::string_view text, std::size_t longest) {
  std::string shown;
  while (!text.empty()) {
    const Character next = first_character(text);
    if (shown.size() + next.bytes > longest) return shown + "...";
    shown += next.shown ? text.substr(0, next.bytes) : "?";
    text.remove_prefix(next.bytes);
  }
  return shown;
}

}  // namespace lockstep
