/* jscan: a table of states and byte classes; the few transitions that need the stack of open
 * containers are actions above the states.
 *
 * One table look-up a byte costs about five cycles (two loads in a row); string contents, most of
 * what real payloads are made of, are skipped 16 bytes at a time. A number has no end of its own:
 * its accepting states take whatever may follow a value, exactly as AFTER does. */
#include "base/jscan.h"

/* Classes of bytes. */
enum {
    C_OTHER,         /* ASCII that only strings hold */
    C_BAD,           /* control bytes and what is never UTF-8: 0xc0, 0xc1, 0xf5-0xff */
    C_BLANK,         /* space */
    C_CONTROL_BLANK, /* tab, LF, CR: not in strings */
    C_QUOTE,
    C_SLASH,
    C_BACKSLASH,
    C_LBRACE,
    C_RBRACE,
    C_LBRACKET,
    C_RBRACKET,
    C_COMMA,
    C_COLON,
    C_MINUS,
    C_PLUS,
    C_DOT,
    C_ZERO,
    C_DIGIT,
    C_LOW_A,
    C_LOW_B,
    C_LOW_CD, /* c, d */
    C_LOW_E,
    C_LOW_F,
    C_LOW_L,
    C_LOW_N,
    C_LOW_R,
    C_LOW_S,
    C_LOW_T,
    C_LOW_U,
    C_UP_HEX, /* A-D, F */
    C_UP_E,
    C_80, /* 0x80-0x8f */
    C_90, /* 0x90-0x9f */
    C_A0, /* 0xa0-0xbf */
    C_LEAD2,
    C_LEAD_E0,
    C_LEAD3,
    C_LEAD_ED,
    C_LEAD_F0,
    C_LEAD4,
    C_LEAD_F4,
    ROW = 64 /* a power of two: the look-up shifts instead of multiplying */
};

/* States; FAIL is 0, so that what the table leaves out is an error. */
enum {
    FAIL,
    VALUE,     /* a value must follow */
    FIRST,     /* a value or ']' */
    AFTER,     /* a value has ended */
    FIRST_KEY, /* a key or '}' */
    KEY,       /* a key must follow */
    COLON,
    STRING,
    ESCAPE,
    HEX4,
    HEX3,
    HEX2,
    HEX1,
    MORE3, /* continuation bytes still to come */
    MORE2,
    MORE1,
    MORE_E0, /* second byte after a lead that narrows it */
    MORE_ED,
    MORE_F0,
    MORE_F4,
    MINUS,
    ZERO,
    INTEGER,
    DOT,
    FRACTION,
    EXP,
    EXP_SIGN,
    EXP_DIGITS,
    T_R, /* what is left of true, false, null */
    T_U,
    T_E,
    F_A,
    F_L,
    F_S,
    N_U,
    N_L,
    N_L2,
    STATES,
    /* actions of act() */
    OPEN_OBJECT = STATES,
    OPEN_ARRAY,
    CLOSE_OBJECT,
    CLOSE_ARRAY,
    NEXT, /* ',' */
    OPEN_KEY,
    CLOSE_STRING
};

static const uint8_t classes[256], table[STATES][ROW];

void jscan_init(struct jscan *j)
{
    *j = (struct jscan){.state = VALUE};
}

static bool in_object(const struct jscan *j)
{
    return j->depth && (j->object[(j->depth - 1) / 8] >> (j->depth - 1) % 8 & 1);
}

static uint8_t open_container(struct jscan *j, bool object)
{
    if (j->depth == JSCAN_DEPTH_MAX)
        return FAIL;
    uint8_t bit = (uint8_t)(1u << j->depth % 8);
    if (object)
        j->object[j->depth / 8] |= bit;
    else
        j->object[j->depth / 8] &= (uint8_t)~bit;
    j->depth++;
    return object ? FIRST_KEY : FIRST;
}

static uint8_t close_container(struct jscan *j, bool object)
{
    if (j->depth == 0 || in_object(j) != object)
        return FAIL;
    j->depth--;
    return AFTER;
}

static uint8_t act(struct jscan *j, uint8_t action)
{
    switch (action) {
    case OPEN_OBJECT:
        return open_container(j, true);
    case OPEN_ARRAY:
        return open_container(j, false);
    case CLOSE_OBJECT:
        return close_container(j, true);
    case CLOSE_ARRAY:
        return close_container(j, false);
    case NEXT:
        return j->depth == 0 ? FAIL : in_object(j) ? KEY : VALUE;
    case OPEN_KEY:
        j->key = true;
        return STRING;
    default: { /* CLOSE_STRING */
        bool key = j->key;
        j->key = false;
        return key ? COLON : AFTER;
    }
    }
}

/* Past the plain bytes and the whole multi-byte sequences at p. */
static const char *string_run(const char *p, const char *end)
{
    for (;;) {
        p = jscan_plain(p, end);
        if (end - p < 4 || *p >= 0)
            return p;
        size_t n = jscan_utf8(p, end);
        if (n == 0)
            return p;
        p += n;
    }
}

bool jscan_feed(struct jscan *j, const void *bytes, size_t n)
{
    const char *start = bytes, *p = start, *end = start + n;
    uint8_t state = j->state;
    while (p < end && state != FAIL) {
        if (state == STRING && (p = string_run(p, end)) == end)
            break;
        uint8_t next = table[state][classes[(unsigned char)*p]];
        if (next >= STATES)
            next = act(j, next);
        p += next != FAIL;
        if (next == state) /* blanks, digits: no look-up waits for the one before */
            while (p < end && table[next][classes[(unsigned char)*p]] == next)
                p++;
        state = next;
    }
    j->state = state;
    j->offset += (uint64_t)(p - start);
    return state != FAIL;
}

bool jscan_end(const struct jscan *j)
{
    switch (j->state) {
    case AFTER:
    case ZERO:
    case INTEGER:
    case FRACTION:
    case EXP_DIGITS:
        return j->depth == 0;
    default:
        return false;
    }
}

bool jscan_valid(struct str s)
{
    struct jscan j;
    jscan_init(&j);
    return jscan_feed(&j, s.p, s.n) && jscan_end(&j);
}

/* --- tables ---------------------------------------------------------------------------------- */

static const uint8_t classes[256] = {
    [0 ... 8] = C_BAD,
    [0x0b ... 0x0c] = C_BAD,
    [0x0e ... 0x1f] = C_BAD,
    [0xc0 ... 0xc1] = C_BAD,
    [0xf5 ... 0xff] = C_BAD,
    ['\t'] = C_CONTROL_BLANK,
    ['\n'] = C_CONTROL_BLANK,
    ['\r'] = C_CONTROL_BLANK,
    [0x20] = C_BLANK,
    ['"'] = C_QUOTE,
    ['/'] = C_SLASH,
    ['\\'] = C_BACKSLASH,
    ['{'] = C_LBRACE,
    ['}'] = C_RBRACE,
    ['['] = C_LBRACKET,
    [']'] = C_RBRACKET,
    [','] = C_COMMA,
    [':'] = C_COLON,
    ['-'] = C_MINUS,
    ['+'] = C_PLUS,
    ['.'] = C_DOT,
    ['0'] = C_ZERO,
    ['1' ... '9'] = C_DIGIT,
    ['a'] = C_LOW_A,
    ['b'] = C_LOW_B,
    ['c' ... 'd'] = C_LOW_CD,
    ['e'] = C_LOW_E,
    ['f'] = C_LOW_F,
    ['l'] = C_LOW_L,
    ['n'] = C_LOW_N,
    ['r'] = C_LOW_R,
    ['s'] = C_LOW_S,
    ['t'] = C_LOW_T,
    ['u'] = C_LOW_U,
    ['A' ... 'D'] = C_UP_HEX,
    ['E'] = C_UP_E,
    ['F'] = C_UP_HEX,
    [0x80 ... 0x8f] = C_80,
    [0x90 ... 0x9f] = C_90,
    [0xa0 ... 0xbf] = C_A0,
    [0xc2 ... 0xdf] = C_LEAD2,
    [0xe0] = C_LEAD_E0,
    [0xe1 ... 0xec] = C_LEAD3,
    [0xed] = C_LEAD_ED,
    [0xee ... 0xef] = C_LEAD3,
    [0xf0] = C_LEAD_F0,
    [0xf1 ... 0xf3] = C_LEAD4,
    [0xf4] = C_LEAD_F4,
};

#define BLANKS(state) [C_BLANK] = (state), [C_CONTROL_BLANK] = (state)
#define DIGITS(state) [C_ZERO] = (state), [C_DIGIT] = (state)
#define VALUES                                                                                     \
    BLANKS(VALUE), [C_QUOTE] = STRING, [C_LBRACE] = OPEN_OBJECT, [C_LBRACKET] = OPEN_ARRAY,        \
                   [C_MINUS] = MINUS, [C_ZERO] = ZERO, [C_DIGIT] = INTEGER, [C_LOW_T] = T_R,       \
                   [C_LOW_F] = F_A, [C_LOW_N] = N_U
#define ENDS BLANKS(AFTER), [C_COMMA] = NEXT, [C_RBRACE] = CLOSE_OBJECT, [C_RBRACKET] = CLOSE_ARRAY
#define HEXES(state)                                                                               \
    DIGITS(state), [C_LOW_A] = (state), [C_LOW_B] = (state), [C_LOW_CD] = (state),                 \
                   [C_LOW_E] = (state), [C_LOW_F] = (state), [C_UP_HEX] = (state),                 \
                   [C_UP_E] = (state)
#define CONTINUES(state) [C_80] = (state), [C_90] = (state), [C_A0] = (state)

static const uint8_t table[STATES][ROW] = {
    [VALUE] = {VALUES},
    [FIRST] = {[C_QUOTE] = STRING,
               [C_LBRACE] = OPEN_OBJECT,
               [C_LBRACKET] = OPEN_ARRAY,
               [C_MINUS] = MINUS,
               [C_ZERO] = ZERO,
               [C_DIGIT] = INTEGER,
               [C_LOW_T] = T_R,
               [C_LOW_F] = F_A,
               [C_LOW_N] = N_U,
               [C_RBRACKET] = CLOSE_ARRAY,
               BLANKS(FIRST)},
    [AFTER] = {ENDS},
    [FIRST_KEY] = {BLANKS(FIRST_KEY), [C_QUOTE] = OPEN_KEY, [C_RBRACE] = CLOSE_OBJECT},
    [KEY] = {BLANKS(KEY), [C_QUOTE] = OPEN_KEY},
    [COLON] = {BLANKS(COLON), [C_COLON] = VALUE},
    [STRING] = {[C_BLANK] = STRING,
                [C_QUOTE] = CLOSE_STRING,
                [C_SLASH] = STRING,
                [C_BACKSLASH] = ESCAPE,
                [C_LBRACE... C_UP_E] = STRING,
                [C_OTHER] = STRING,
                [C_LEAD2] = MORE1,
                [C_LEAD_E0] = MORE_E0,
                [C_LEAD3] = MORE2,
                [C_LEAD_ED] = MORE_ED,
                [C_LEAD_F0] = MORE_F0,
                [C_LEAD4] = MORE3,
                [C_LEAD_F4] = MORE_F4},
    [ESCAPE] = {[C_QUOTE] = STRING,
                [C_SLASH] = STRING,
                [C_BACKSLASH] = STRING,
                [C_LOW_B] = STRING,
                [C_LOW_F] = STRING,
                [C_LOW_N] = STRING,
                [C_LOW_R] = STRING,
                [C_LOW_T] = STRING,
                [C_LOW_U] = HEX4},
    [HEX4] = {HEXES(HEX3)},
    [HEX3] = {HEXES(HEX2)},
    [HEX2] = {HEXES(HEX1)},
    [HEX1] = {HEXES(STRING)},
    [MORE3] = {CONTINUES(MORE2)},
    [MORE2] = {CONTINUES(MORE1)},
    [MORE1] = {CONTINUES(STRING)},
    [MORE_E0] = {[C_A0] = MORE1},
    [MORE_ED] = {[C_80] = MORE1, [C_90] = MORE1},
    [MORE_F0] = {[C_90] = MORE2, [C_A0] = MORE2},
    [MORE_F4] = {[C_80] = MORE2},
    [MINUS] = {[C_ZERO] = ZERO, [C_DIGIT] = INTEGER},
    [ZERO] = {ENDS, [C_DOT] = DOT, [C_LOW_E] = EXP, [C_UP_E] = EXP},
    [INTEGER] = {ENDS, DIGITS(INTEGER), [C_DOT] = DOT, [C_LOW_E] = EXP, [C_UP_E] = EXP},
    [DOT] = {DIGITS(FRACTION)},
    [FRACTION] = {ENDS, DIGITS(FRACTION), [C_LOW_E] = EXP, [C_UP_E] = EXP},
    [EXP] = {DIGITS(EXP_DIGITS), [C_PLUS] = EXP_SIGN, [C_MINUS] = EXP_SIGN},
    [EXP_SIGN] = {DIGITS(EXP_DIGITS)},
    [EXP_DIGITS] = {ENDS, DIGITS(EXP_DIGITS)},
    [T_R] = {[C_LOW_R] = T_U},
    [T_U] = {[C_LOW_U] = T_E},
    [T_E] = {[C_LOW_E] = AFTER},
    [F_A] = {[C_LOW_A] = F_L},
    [F_L] = {[C_LOW_L] = F_S},
    [F_S] = {[C_LOW_S] = T_E},
    [N_U] = {[C_LOW_U] = N_L},
    [N_L] = {[C_LOW_L] = N_L2},
    [N_L2] = {[C_LOW_L] = AFTER},
};
