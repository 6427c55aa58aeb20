/* reply_xml: text into XML.
 *
 * XML 1.0 cannot carry every byte that a key or a message may hold: control bytes, what is not
 * UTF-8 and two code points have no form in it, so U+FFFD stands for each. Line ends are written as
 * references, or a parser would fold "\r\n" into "\n". */
#include "api/call.h"

static const char *reference(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    case '\r':
        return "&#13;";
    case '\n':
        return "&#10;";
    case '\t':
        return "&#9;";
    default:
        return NULL;
    }
}

/* Length of what XML can carry as it is at the start of s, or 0. */
static size_t plain(struct str s)
{
    size_t n = str_utf8_sequence(s);
    if (n == 1 && ((unsigned char)*s.p < 0x20 || reference(*s.p)))
        return 0;
    bool noncharacter =
        n == 3 && (str_starts(s, STR("\xEF\xBF\xBE")) || str_starts(s, STR("\xEF\xBF\xBF")));
    return noncharacter ? 0 : n;
}

void xml_escape(struct buf *out, struct str s)
{
    while (s.n) {
        size_t run = 0, n;
        while (run < s.n && (n = plain(str_from(s, run))) > 0)
            run += n;
        buf_add(out, str_of(s.p, run));
        s = str_from(s, run);
        if (s.n == 0)
            return;
        const char *ref = reference(*s.p);
        n = str_utf8_sequence(s);
        buf_add(out, ref ? str_c(ref) : STR("\xEF\xBF\xBD"));
        s = str_from(s, n ? n : 1);
    }
}

void xml_element(struct buf *out, const char *name, struct str text)
{
    buf_printf(out, "<%s>", name);
    xml_escape(out, text);
    buf_printf(out, "</%s>", name);
}
