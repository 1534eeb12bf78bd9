#include "disassembly.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum instruction_class { MATRIX, FMA, ALU, MEMORY, SHARED, BARRIER, SUBGROUP, CONTROL, CLASS_COUNT };

static const char *const class_names[CLASS_COUNT] = {"matrix", "fma", "alu", "memory", "shared", "barrier", "subgroup", "control"};

/* The beginning of an instruction's name says what it is; the first row that fits is taken, and what fits none is ALU. */
struct name_class {
	const char *prefix;
	enum instruction_class class;
};

static const struct name_class amd_names[] = {
	{"v_wmma", MATRIX},       {"v_swmma", MATRIX},      {"v_mfma", MATRIX},        {"v_fma", FMA},
	{"v_pk_fma", FMA},        {"v_mac_f", FMA},         {"v_mad_f", FMA},          {"v_mad_mix", FMA},
	{"v_dot", FMA},           {"v_dual_fma", FMA},      {"v_dual_dot", FMA},       {"ds_bpermute", SUBGROUP},
	{"ds_permute", SUBGROUP}, {"ds_swizzle", SUBGROUP}, {"ds_", SHARED},           {"global_", MEMORY},
	{"buffer_", MEMORY},      {"flat_", MEMORY},        {"scratch_", MEMORY},      {"s_load", MEMORY},
	{"s_buffer", MEMORY},     {"v_readlane", SUBGROUP}, {"v_writelane", SUBGROUP}, {"v_readfirstlane", SUBGROUP},
	{"v_permlane", SUBGROUP}, {"s_barrier", BARRIER},   {"s_branch", CONTROL},     {"s_cbranch", CONTROL},
	{"s_wait", CONTROL},      {"s_delay", CONTROL},     {"s_nop", CONTROL},        {"s_clause", CONTROL},
	{"s_sendmsg", CONTROL},   {"s_endpgm", CONTROL},    {"s_sethalt", CONTROL},    {"s_setprio", CONTROL},
	{"s_inst_pref", CONTROL}, {"s_set_inst", CONTROL},  {"s_sleep", CONTROL},      {"s_set_gpr", CONTROL},
};

static const struct name_class intel_names[] = {
	{"dpas", MATRIX},  {"dp4a", FMA},      {"sync", CONTROL},  {"nop", CONTROL},   {"if", CONTROL},
	{"else", CONTROL}, {"endif", CONTROL}, {"while", CONTROL}, {"break", CONTROL}, {"cont", CONTROL},
	{"halt", CONTROL}, {"jmpi", CONTROL},  {"do", CONTROL},    {"wait", BARRIER},
};

/* What a message is for stands in the line after the `send`: SHARED_FUNCTION MsgDesc: (OPERATION ... */
static const struct name_class intel_messages[] = {
	{"gateway MsgDesc: (barrier", BARRIER},
	{"slm MsgDesc: ( fence", BARRIER},
	{"ugm MsgDesc: ( fence", BARRIER},
	{"data MsgDesc: (DC mfence", BARRIER},
	{"slm ", SHARED},
	{"thread_spawner", CONTROL},
	{"gateway", CONTROL},
};

static const struct name_class nvidia_names[] = {
	{"hmma", MATRIX},      {"imma", MATRIX},   {"ffma", FMA},       {"hfma", FMA},       {"idp", FMA},
	{"shfl", SUBGROUP},    {"vote", SUBGROUP}, {"match", SUBGROUP}, {"redux", SUBGROUP}, {"ld.shared", SHARED},
	{"st.shared", SHARED}, {"ldsm", SHARED},   {"ld", MEMORY},      {"st", MEMORY},      {"atom", MEMORY},
	{"membar", BARRIER},   {"bar", BARRIER},   {"bra", CONTROL},    {"bssy", CONTROL},   {"bsync", CONTROL},
	{"bclear", CONTROL},   {"break", CONTROL}, {"exit", CONTROL},   {"nop", CONTROL},    {"warpsync", CONTROL},
};

#define CLASSIFY(table, text) classify(table, sizeof(table) / sizeof((table)[0]), text)

static enum instruction_class classify(const struct name_class *table, size_t count, const char *text)
{
	for (size_t i = 0; i < count; i++)
		if (strncmp(text, table[i].prefix, strlen(table[i].prefix)) == 0)
			return table[i].class;
	return ALU;
}

/* A line of text, its ends trimmed. */
struct line {
	char text[256];
	bool is_indented;
};

/* Copies the next line, cut off where it is very long. Returns the start of the one after it. */
static const char *next_line(const char *at, struct line *line)
{
	const char *end = strchr(at, '\n');
	const char *next = end != NULL ? end + 1 : at + strlen(at);
	line->is_indented = *at == ' ' || *at == '\t';
	while (at < next && isspace((unsigned char)*at))
		at++;
	size_t length = (size_t)(next - at);
	if (length >= sizeof(line->text))
		length = sizeof(line->text) - 1;
	memcpy(line->text, at, length);
	while (length > 0 && isspace((unsigned char)line->text[length - 1]))
		length--;
	line->text[length] = '\0';
	return next;
}

enum form { UNKNOWN, AMD, INTEL, NVIDIA };

static enum form form_of(const char *text)
{
	if (strncmp(text, "BB0:", 4) == 0)
		return AMD;
	if (strncmp(text, "block", 5) == 0 && strstr(text, "-> {") != NULL)
		return NVIDIA;
	if (strstr(text, "{ align") != NULL)
		return INTEL;
	return UNKNOWN;
}

bool disassembly_recognized(const char *text)
{
	return form_of(text) != UNKNOWN;
}

/* What one line means. Labels are the numbers that the compilers give them. */
struct meaning {
	bool is_instruction, is_branch, is_label, is_message;
	enum instruction_class class;
	unsigned label;
};

static bool parse_label(const char *text, const char *prefix, unsigned *label)
{
	const char *at = strstr(text, prefix);
	if (at == NULL || !isdigit((unsigned char)at[strlen(prefix)]))
		return false;
	*label = (unsigned)strtoul(at + strlen(prefix), NULL, 10);
	return true;
}

static struct meaning read_amd(const struct line *line)
{
	struct meaning meaning = {.class = CONTROL};
	const char *text = line->text;
	if (strncmp(text, "BB", 2) == 0) {
		meaning.is_label = parse_label(text, "BB", &meaning.label);
		return meaning;
	}
	meaning.is_instruction = isalpha((unsigned char)text[0]) && line->is_indented;
	meaning.class = strstr(text, "_dpp") != NULL ? SUBGROUP : CLASSIFY(amd_names, text);
	bool jumps = strncmp(text, "s_branch", 8) == 0 || strncmp(text, "s_cbranch", 9) == 0;
	meaning.is_branch = jumps && parse_label(text, " BB", &meaning.label);
	return meaning;
}

static struct meaning read_intel(const struct line *line)
{
	struct meaning meaning = {.class = ALU};
	const char *text = line->text;
	if (strncmp(text, "LABEL", 5) == 0) {
		meaning.is_label = parse_label(text, "LABEL", &meaning.label);
		return meaning;
	}
	if (line->is_indented) {
		meaning.is_message = strstr(text, "MsgDesc:") != NULL;
		bool is_old_shared = strstr(text, "Surface = 254") != NULL;
		meaning.class = is_old_shared ? SHARED : CLASSIFY(intel_messages, text);
		if (meaning.class == ALU)
			meaning.class = MEMORY;
		return meaning;
	}
	if (text[0] == '(') { /* predicate */
		text = strchr(text, ')');
		text = text != NULL ? text + 1 + strspn(text + 1, " ") : "";
	}
	meaning.is_instruction = strstr(text, "{ align") != NULL || strncmp(text, "send", 4) == 0;
	meaning.class = CLASSIFY(intel_names, text);
	bool multiplies_and_adds = strncmp(text, "mad", 3) == 0 || strncmp(text, "mac(", 4) == 0;
	if (multiplies_and_adds && (strstr(text, ">F ") != NULL || strstr(text, ">HF ") != NULL))
		meaning.class = FMA;
	if (strstr(text, "g[a0") != NULL)
		meaning.class = SUBGROUP;
	meaning.is_branch = strncmp(text, "while", 5) == 0 && parse_label(text, "LABEL", &meaning.label);
	return meaning;
}

static struct meaning read_nvidia(const struct line *line)
{
	struct meaning meaning = {.class = CONTROL};
	const char *text = line->text;
	if (strncmp(text, "block", 5) == 0)
		return meaning;
	if (text[0] == '@') /* predicate */
		text += strcspn(text, " ");
	const char *equals = strstr(text, " = ");
	if (equals != NULL)
		text = equals + 3;
	text += strspn(text, " ");
	meaning.is_instruction = isalpha((unsigned char)text[0]) != 0;
	meaning.class = CLASSIFY(nvidia_names, text);
	return meaning;
}

struct loop {
	unsigned header; /* its first instruction */
	bool *holds;     /* [instructions] */
	unsigned size;   /* instructions that it holds */
	unsigned counts[CLASS_COUNT];
};

#define MAX_SUCCESSORS 4

/* A basic block of a compiler that lays blocks out in any order. */
struct block {
	unsigned first, end; /* instructions */
	unsigned successors[MAX_SUCCESSORS], successor_count;
	enum { UNSEEN, ON_PATH, DONE } state;
	bool is_member; /* of the loop that is being collected */
};

struct program {
	enum instruction_class *classes; /* [count] */
	unsigned *labels;                /* [lines]: the instruction that a label stands before, or ~0u */
	struct block *blocks;            /* [block_count], by their numbers */
	struct loop *loops;              /* [loop_count] */
	unsigned lines;                  /* of the text: more than there are instructions, labels, blocks or loops */
	unsigned count, block_count, loop_count;
	bool failed; /* out of memory */
};

/* The loop that begins there; several jumps back to one place (a `continue`) are one loop. */
static struct loop *loop_at(struct program *program, unsigned header)
{
	for (unsigned i = 0; i < program->loop_count; i++)
		if (program->loops[i].header == header)
			return &program->loops[i];
	struct loop *loop = &program->loops[program->loop_count];
	*loop = (struct loop){.header = header, .holds = calloc(program->lines, sizeof(*loop->holds))};
	if (loop->holds == NULL) {
		program->failed = true;
		return NULL;
	}
	program->loop_count++;
	return loop;
}

static void hold(struct loop *loop, unsigned first, unsigned end)
{
	for (unsigned i = first; loop != NULL && i < end; i++) {
		loop->size += !loop->holds[i];
		loop->holds[i] = true;
	}
}

/* "block.u 3 L3 [1, 2] -> {" begins a block, "} -> [4, 415]" ends it. */
static void read_block_line(struct program *program, const char *text)
{
	if (strncmp(text, "block", 5) == 0) {
		unsigned number = (unsigned)strtoul(text + strcspn(text, " "), NULL, 10);
		if (number == program->block_count && number < program->lines)
			program->blocks[program->block_count++] = (struct block){.first = program->count, .end = program->count};
		return;
	}
	if (program->block_count == 0)
		return;
	struct block *block = &program->blocks[program->block_count - 1];
	block->end = program->count;
	for (text = strchr(text, '['); text != NULL && block->successor_count < MAX_SUCCESSORS; text = strchr(text + 1, ',')) {
		char *end;
		unsigned long number = strtoul(text + 1, &end, 10);
		if (end != text + 1)
			block->successors[block->successor_count++] = (unsigned)number;
	}
}

static bool leads_to_member(const struct program *program, const struct block *block)
{
	for (unsigned s = 0; s < block->successor_count; s++)
		if (block->successors[s] < program->block_count && program->blocks[block->successors[s]].is_member)
			return true;
	return false;
}

/* A jump from `tail` back to `header`: the loop is what reaches the tail without passing the header. */
static void collect_loop(struct program *program, unsigned header, unsigned tail)
{
	for (unsigned b = 0; b < program->block_count; b++)
		program->blocks[b].is_member = b == tail;
	bool grew = header != tail;
	while (grew) {
		grew = false;
		for (unsigned b = 0; b < program->block_count; b++) {
			struct block *block = &program->blocks[b];
			if (b != header && !block->is_member && leads_to_member(program, block))
				grew = block->is_member = true;
		}
	}
	program->blocks[header].is_member = true;
	struct loop *loop = loop_at(program, program->blocks[header].first);
	for (unsigned b = 0; b < program->block_count; b++)
		if (program->blocks[b].is_member)
			hold(loop, program->blocks[b].first, program->blocks[b].end);
}

/* A jump to a block that is on the path from the entry is one that goes back: the shaders have no irreducible flow. */
static void find_loops(struct program *program, unsigned number)
{
	struct block *block = &program->blocks[number];
	block->state = ON_PATH;
	for (unsigned s = 0; s < block->successor_count; s++) {
		unsigned next = block->successors[s];
		if (next >= program->block_count)
			continue;
		if (program->blocks[next].state == ON_PATH)
			collect_loop(program, next, number);
		else if (program->blocks[next].state == UNSEEN)
			find_loops(program, next);
	}
	block->state = DONE;
}

static void read_program(const char *text, struct program *program)
{
	enum form form = form_of(text);
	struct line line;
	for (const char *at = text; *at != '\0';) {
		at = next_line(at, &line);
		if (form == NVIDIA && (strncmp(line.text, "block", 5) == 0 || line.text[0] == '}'))
			read_block_line(program, line.text);
		struct meaning meaning = form == AMD ? read_amd(&line) : form == INTEL ? read_intel(&line) : read_nvidia(&line);
		if (meaning.is_label && meaning.label < program->lines)
			program->labels[meaning.label] = program->count;
		if (meaning.is_message && program->count > 0)
			program->classes[program->count - 1] = meaning.class;
		if (!meaning.is_instruction)
			continue;
		program->classes[program->count] = meaning.class;
		program->count++;
		/* These compilers keep a loop in one piece that ends with the jump back. */
		if (meaning.is_branch && meaning.label < program->lines && program->labels[meaning.label] < program->count) {
			unsigned first = program->labels[meaning.label];
			hold(loop_at(program, first), first, program->count);
		}
	}
	if (program->block_count > 0)
		find_loops(program, 0);
}

static int by_header(const void *a, const void *b)
{
	const struct loop *x = a, *y = b;
	return x->header < y->header ? -1 : x->header > y->header;
}

/* Counts each instruction for the smallest loop that holds it. */
static void count_instructions(struct program *program)
{
	for (unsigned i = 0; i < program->count; i++) {
		struct loop *innermost = NULL;
		for (struct loop *loop = program->loops; loop < program->loops + program->loop_count; loop++)
			if (loop->holds[i] && (innermost == NULL || loop->size < innermost->size))
				innermost = loop;
		if (innermost != NULL)
			innermost->counts[program->classes[i]]++;
	}
}

static unsigned depth_of(const struct program *program, const struct loop *inner)
{
	unsigned depth = 0;
	for (const struct loop *loop = program->loops; loop < program->loops + program->loop_count; loop++)
		depth += loop != inner && loop->holds[inner->header] && loop->size > inner->size;
	return depth;
}

cJSON *disassembly_loops(const char *text)
{
	cJSON *list = cJSON_CreateArray();
	unsigned lines = 1;
	for (const char *at = text; *at != '\0'; at++)
		lines += *at == '\n';
	struct program program = {
		.classes = calloc(lines, sizeof(*program.classes)),
		.labels = malloc(lines * sizeof(*program.labels)),
		.blocks = calloc(lines, sizeof(*program.blocks)),
		.loops = calloc(lines, sizeof(*program.loops)),
		.lines = lines,
	};
	program.failed = program.classes == NULL || program.labels == NULL || program.blocks == NULL || program.loops == NULL;
	if (!program.failed) {
		memset(program.labels, 0xff, lines * sizeof(*program.labels));
		read_program(text, &program);
		qsort(program.loops, program.loop_count, sizeof(*program.loops), by_header);
		count_instructions(&program);
	}
	for (unsigned i = 0; i < program.loop_count && !program.failed; i++) {
		const struct loop *loop = &program.loops[i];
		if (loop->counts[MATRIX] + loop->counts[FMA] == 0)
			continue;
		cJSON *entry = cJSON_CreateObject();
		cJSON_AddNumberToObject(entry, "depth", depth_of(&program, loop));
		for (int class = 0; class < CLASS_COUNT; class ++)
			cJSON_AddNumberToObject(entry, class_names[class], loop->counts[class]);
		cJSON_AddItemToArray(list, entry);
	}
	for (unsigned i = 0; i < program.loop_count; i++)
		free(program.loops[i].holds);
	free(program.classes);
	free(program.labels);
	free(program.blocks);
	free(program.loops);
	return list;
}
