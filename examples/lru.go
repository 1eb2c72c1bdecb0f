// Package lru is a cache that forgets what was used longest ago.
package lru

import "container/list"

// Cache holds at most a fixed number of values. It is not safe for concurrent use.
type Cache[K comparable, V any] struct {
	limit int
	order *list.List // most recently used first
	items map[K]*list.Element
}

type entry[K comparable, V any] struct {
	key   K
	value V
}

// New returns an empty cache for limit values.
func New[K comparable, V any](limit int) *Cache[K, V] {
	return &Cache[K, V]{
		limit: limit,
		order: list.New(),
		items: make(map[K]*list.Element),
	}
}

// Get returns the value of key and whether it is there, and marks it as used.
func (c *Cache[K, V]) Get(key K) (V, bool) {
	element, ok := c.items[key]
	if !ok {
		var zero V
		return zero, false
	}
	c.order.MoveToFront(element)
	return element.Value.(*entry[K, V]).value, true
}

// Put stores a value and forgets the oldest one if there are too many.
func (c *Cache[K, V]) Put(key K, value V) {
	if element, ok := c.items[key]; ok {
		element.Value.(*entry[K, V]).value = value
		c.order.MoveToFront(element)
		return
	}
	c.items[key] = c.order.PushFront(&entry[K, V]{key, value})
	if c.order.Len() > c.limit {
		oldest := c.order.Back()
		c.order.Remove(oldest)
		delete(c.items, oldest.Value.(*entry[K, V]).key)
	}
}

// Len returns the number of values held.
func (c *Cache[K, V]) Len() int {
	return c.order.Len()
}
