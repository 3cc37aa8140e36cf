#include "base/regex_class.h"

#include "base/regex_node.h"

static int is_between(unsigned char byte, char low, char high)
{
    return byte >= (unsigned char)low && byte <= (unsigned char)high;
}

static int is_lower(unsigned char b)
{
    return is_between(b, 'a', 'z');
}

static int is_upper(unsigned char b)
{
    return is_between(b, 'A', 'Z');
}

static int is_alpha(unsigned char b)
{
    return is_lower(b) || is_upper(b);
}

static int is_digit(unsigned char b)
{
    return is_between(b, '0', '9');
}

static int is_alnum(unsigned char b)
{
    return is_alpha(b) || is_digit(b);
}

static int is_word(unsigned char b)
{
    return sb_regex_is_word(b);
}

static int is_blank(unsigned char b)
{
    return b == ' ' || b == '\t';
}

static int is_space(unsigned char b)
{
    return b == ' ' || is_between(b, '\t', '\r');
}

static int is_cntrl(unsigned char b)
{
    return b < ' ' || b == 0x7f;
}

static int is_graph(unsigned char b)
{
    return is_between(b, '!', '~');
}

static int is_print(unsigned char b)
{
    return is_between(b, ' ', '~');
}

static int is_punct(unsigned char b)
{
    return is_graph(b) && !is_alnum(b);
}

static int is_xdigit(unsigned char b)
{
    return is_digit(b) || is_between(b, 'a', 'f') || is_between(b, 'A', 'F');
}

static const struct {
    const char *name;
    sb_regex_class_fn *has;
} classes[] = {
    {"alnum", is_alnum}, {"alpha", is_alpha}, {"blank", is_blank}, {"cntrl", is_cntrl},
    {"digit", is_digit}, {"graph", is_graph}, {"lower", is_lower}, {"print", is_print},
    {"punct", is_punct}, {"space", is_space}, {"upper", is_upper}, {"xdigit", is_xdigit},
};

static const struct {
    char letter;
    int is_not;
    sb_regex_class_fn *has;
} escaped_classes[] = {
    {'w', 0, is_word},  {'W', 1, is_word},  {'s', 0, is_space},
    {'S', 1, is_space}, {'d', 0, is_digit}, {'D', 1, is_digit},
};

static int is_named(const char *name, const char *text, size_t len)
{
    size_t i = 0;
    while (i < len && name[i] != '\0' && name[i] == text[i]) {
        i++;
    }
    return i == len && name[i] == '\0';
}

sb_regex_class_fn *sb_regex_class_named(const char *name, size_t len)
{
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        if (is_named(classes[i].name, name, len)) {
            return classes[i].has;
        }
    }
    return NULL;
}

sb_regex_class_fn *sb_regex_class_escaped(char letter, int *ret_is_not)
{
    for (size_t i = 0; i < sizeof escaped_classes / sizeof *escaped_classes; i++) {
        if (escaped_classes[i].letter == letter) {
            *ret_is_not = escaped_classes[i].is_not;
            return escaped_classes[i].has;
        }
    }
    return NULL;
}

int sb_regex_class_is_digit(unsigned char byte)
{
    return is_digit(byte);
}

int sb_regex_class_is_alpha(unsigned char byte)
{
    return is_alpha(byte);
}
