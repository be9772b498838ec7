#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace lockstep {

// Text of a stranger (a name in a file, a word that was typed) as a message may show it: at most `longest`
// bytes and "..." behind them. Control characters and what is not UTF-8 become '?', so that no terminal takes
// it for a command.
std::string printable(std::string_view text, std::size_t longest = 64);

}  // namespace lockstep
